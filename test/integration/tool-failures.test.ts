// Tools through a whole node, on all three protocols: what models get wrong about calls, and what breaks in the middle of
// one, ends the turn in a clear way or lets the model mend it; the next message works in any case.

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { startFakeChatCompletions } from '../../loadtest/fakes/chat-completions-server.ts';
import type { RecordedRequest } from '../../loadtest/fakes/fake-server.ts';
import { startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import type { ErrorCode } from '../../protocol/client/index.ts';
import type { TurnOutcome } from '../../protocol/content.ts';
import { ProviderStage, expectNext } from '../support/provider-stage.ts';
import { answerText } from '../support/witness.ts';

type Fake = { readonly url: string; readonly requests: readonly RecordedRequest[]; stop(): Promise<void> };

const PROVIDERS: readonly {
  readonly provider: string;
  readonly start: () => Promise<Fake>;
  readonly env: (url: string) => Readonly<Record<string, string>>;
  readonly stops: { readonly cut: string; readonly refused: string };
}[] = [
  {
    provider: 'anthropic',
    start: () => startFakeAnthropic({ apiKey: 'test' }),
    env: (url) => ({ ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: url }),
    stops: { cut: 'max_tokens', refused: 'refusal' },
  },
  {
    provider: 'openai',
    start: () => startFakeResponses({ apiKey: 'test' }),
    env: (url) => ({ OPENAI_API_KEY: 'test', OPENAI_BASE_URL: `${url}/v1` }),
    stops: { cut: 'max_output_tokens', refused: 'content_filter' },
  },
  {
    provider: 'compatible',
    start: () => startFakeChatCompletions({ apiKey: 'test' }),
    env: (url) => ({
      PARLEY_COMPATIBLE_BASE_URL: `${url}/vllm/v1`,
      PARLEY_COMPATIBLE_API_KEY: 'test',
      PARLEY_COMPATIBLE_MODELS: 'qwen3:8b',
    }),
    stops: { cut: 'length', refused: 'content_filter' },
  },
];

const SUM = 'call=calculator args="{\\"expression\\":\\"6*7\\"}"';

describe.each(PROVIDERS)('tools of $provider', ({ provider, start, env, stops }) => {
  let fake: Fake;
  let stage: ProviderStage;
  beforeAll(async () => {
    fake = await start();
    const database = `tools_${provider}`;
    stage = await ProviderStage.start({ postgresUrl: inject('postgresUrl'), database, provider, env: env(fake.url) });
  });
  afterAll(async () => {
    await stage.stop();
    await fake.stop();
  });

  test.each<readonly [what: string, directive: string, outcome: TurnOutcome, retried: ErrorCode | null]>([
    ['a call that is answered', `${SUM} echo=1`, 'completed', null],
    ['eight steps of three calls', `${SUM} call=clock call=clock thinking=2 steps=8 echo=1`, 'completed', null],
    ['arguments that are cut', 'call=calculator args="{\\"expression\\":"', 'completed', null],
    ['arguments of another tool', 'call=calculator args="{\\"city\\":1}"', 'completed', null],
    ['a tool that does not exist', 'call=no.such.tool', 'completed', null],
    ['a call cut by the limit', `tokens=1 ${SUM} stop=${stops.cut}`, 'max_tokens', null],
    ['a refusal with a call', `tokens=1 ${SUM} stop=${stops.refused}`, 'refused', null],
    ['a body that ends within a call', `tokens=1 ${SUM} fail=cut@3`, 'completed', 'model_cut'],
    ['a line that ends within a call', `tokens=1 ${SUM} fail=cut_line@3`, 'completed', 'model_cut'],
    ['a reset within a call', `tokens=1 ${SUM} fail=reset@3`, 'completed', 'model_unavailable'],
    [
      'a failure in the step behind the results',
      `${SUM} fail=503 fail_step=1 steps=2`,
      'completed',
      'model_unavailable',
    ],
  ])('[P12] %s: %s', async (_, directive, outcome, retried) => {
    const { chat, turn, events } = await stage.converse(directive);
    expect(chat.state.lastTurn).toEqual({ turn, outcome, error: null });
    const retries = events.flatMap(({ event }) => (event.kind === 'retry' ? [event.error.code] : []));
    expect(retries).toEqual(retried === null ? [] : [retried]);
    // Every call that is kept is settled, once.
    const parts = chat.state.messages.flatMap((message) => message.parts);
    const calls = parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
    const results = parts.flatMap((part) => (part.type === 'tool_result' ? [part.call] : []));
    expect(results.toSorted()).toEqual(calls.toSorted());
    await expectNext(chat);
  });

  test('[P7] the model is told what its tools said, in the order of its calls', async () => {
    const { chat } = await stage.converse(`${SUM} call=calculator args="{\\"expression\\":\\"1+1\\"}" echo=1 tokens=1`);
    expect(answerText(chat.state)).toMatch(/42[^]*\n[^]*2$/u);
  });
});
