// A provider that does not take its own reasoning back, since it came to other keys: the chat drops what was signed so far,
// once and for good, and goes on.

import { describe, expect, inject, onTestFinished, test } from 'vitest';

import { startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import type { RecordedRequest } from '../../loadtest/fakes/fake-server.ts';
import { startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import type { ChatHandle } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { ProviderStage } from '../support/provider-stage.ts';

type Fake = { readonly url: string; readonly requests: readonly RecordedRequest[]; stop(): Promise<void> };

const PROVIDERS = [
  {
    provider: 'anthropic',
    start: (secret: string, port: number): Promise<Fake> => startFakeAnthropic({ apiKey: 'test', port, secret }),
    env: (url: string) => ({ ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: url }),
    signed: /"signature":"/gu,
  },
  {
    provider: 'openai',
    start: (secret: string, port: number): Promise<Fake> => startFakeResponses({ apiKey: 'test', port, secret }),
    env: (url: string) => ({ OPENAI_API_KEY: 'test', OPENAI_BASE_URL: `${url}/v1` }),
    signed: /"encrypted_content":"/gu,
  },
];

async function say(chat: ChatHandle): Promise<string> {
  const { turn } = await chat.send('again.\nfake: thinking=2 tokens=2');
  const { lastTurn } = await chat.until((state) => state.lastTurn?.turn === turn);
  expect(lastTurn).toMatchObject({ outcome: 'completed', error: null });
  return turn;
}

describe.each(PROVIDERS)('$provider', ({ provider, start, env, signed }) => {
  test('[P12] reasoning that is refused is dropped once, with a word, and what comes later is signed and sent again', async () => {
    const before = await start('one', 0);
    const stage = await ProviderStage.start({
      postgresUrl: inject('postgresUrl'),
      database: `reasoning_${provider}`,
      provider,
      env: env(before.url),
    });
    onTestFinished(() => stage.stop());
    const { port } = new URL(before.url);
    const { chat, events } = await stage.converse('thinking=3 tokens=2');
    await before.stop();
    const after = await start('two', Number(port));
    onTestFinished(() => after.stop());

    const refused = await say(chat);
    expect((await stage.attempts(refused)).map(({ outcome, code }) => [outcome, code])).toEqual([
      ['failed', 'model_bad_request'],
      ['completed', null],
    ]);
    const forks = (): readonly unknown[] =>
      events.flatMap(({ event }) => (event.kind === 'fork' ? [event.reason] : []));
    expect(forks()).toEqual(['reasoning']);
    const signatures = (): readonly number[] => after.requests.map(({ rawBody }) => rawBody.match(signed)?.length ?? 0);
    expect(signatures()).toEqual([1, 0]);

    for (let turn = 0; turn < 2; turn++) expect(await stage.attempts(await say(chat))).toHaveLength(1);
    expect(signatures()).toEqual([1, 0, 1, 2]);
    expect(forks()).toHaveLength(1);
    expect(must(after.requests.at(-1), 'it was asked').rawBody).toContain('token1 token2 ');
  });
});
