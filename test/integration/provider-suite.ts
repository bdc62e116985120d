// Every failure of a fake model server, through the official SDK in a node of its own: what the chat shows, what the ledger
// holds, and that the next message works. Each provider brings its own tables.

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';

import type { ErrorCode, TurnOutcome } from '../../protocol/client/index.ts';
import { NodeProcess } from '../support/node-process.ts';
import { ATTEMPTS_MAX, ProviderStage, SECRET, expectNext, tokens } from '../support/provider-stage.ts';
import { answerText } from '../support/witness.ts';

/** What the tests need of a fake. */
export type Fake = { readonly url: string; stop(): Promise<void> };

export type ProviderCase = {
  /** As the ledger names it. */
  readonly provider: string;
  readonly startFake: (port: number) => Promise<Fake>;
  /** What points a node at the fake. */
  readonly env: (url: string) => Readonly<Record<string, string>>;
  /** Failures of the moment, once: what the retry says, and how long it has to wait at least. */
  readonly retried: readonly (readonly [directive: string, code: ErrorCode, retryAfterMs: number])[];
  /** Failures that no retry heals; the ledger has the attempt as failed, but for answers that came to their end. */
  readonly refused: readonly (readonly [directive: string, code: ErrorCode, outcome: 'failed' | 'completed'])[];
  /** No failures, whatever they look like. */
  readonly harmless: readonly (readonly [directive: string, outcome: TurnOutcome])[];
  readonly overloaded: { readonly before: string; readonly within: string };
};

/** What every protocol can suffer, whatever it calls its errors. */
export const RETRIED_BY_ALL: ProviderCase['retried'] = [
  ['fail=408', 'model_unavailable', 0],
  ['fail=409', 'model_unavailable', 0],
  ['fail=429', 'model_rate_limited', 0],
  ['fail=429 retry-after=1s', 'model_rate_limited', 1_000],
  ['fail=429 retry-after-ms=300', 'model_rate_limited', 300],
  ['fail=500', 'model_unavailable', 0],
  ['fail=502', 'model_unavailable', 0],
  ['fail=503', 'model_unavailable', 0],
  ['fail=504', 'model_unavailable', 0],
  ['fail=529', 'model_overloaded', 0],
  ['fail=overloaded_error@5', 'model_overloaded', 0],
  ['fail=never_heard_of_error@5', 'model_unavailable', 0],
  ['fail=cut', 'model_cut', 0],
  ['fail=cut@5', 'model_cut', 0],
  ['fail=cut_line@5', 'model_cut', 0],
  ['fail=close@5', 'model_unavailable', 0],
  ['fail=reset', 'model_unavailable', 0],
  ['fail=reset@5', 'model_unavailable', 0],
  ['fail=silence', 'model_silent', 0],
  ['fail=silence@5', 'model_silent', 0],
];

export const REFUSED_BY_ALL: ProviderCase['refused'] = [
  ['fail=400', 'model_bad_request', 'failed'],
  ['fail=422', 'model_bad_request', 'failed'],
  ['fail=401', 'model_unauthorized', 'failed'],
  ['fail=403', 'model_unauthorized', 'failed'],
  ['fail=402', 'model_spend_limit', 'failed'],
  ['fail=404', 'model_not_found', 'failed'],
  ['fail=413', 'context_overflow', 'failed'],
  ['fail=too_long', 'context_overflow', 'failed'],
];

export const HARMLESS_TO_ALL: ProviderCase['harmless'] = [
  ['unknown=1', 'completed'],
  ['pings=1', 'completed'],
  ['chunks=joined', 'completed'],
  ['chunks=split', 'completed'],
  ['chunks=byte', 'completed'],
  ['thinking=5', 'completed'],
];

export function providerFailures(subject: ProviderCase): () => ProviderStage {
  let fake: Fake;
  let stage: ProviderStage;

  beforeAll(async () => {
    fake = await subject.startFake(0);
    const { provider } = subject;
    const database = `integration_${provider}`;
    stage = await ProviderStage.start({
      postgresUrl: inject('postgresUrl'),
      database,
      provider,
      // No tools: a call of one that was not given is a failure of the provider's, too.
      env: { ...subject.env(fake.url), PARLEY_TOOLS: ',' },
    });
  });

  afterAll(async () => {
    await stage.stop();
    await fake.stop();
  });

  describe(`every failure of ${subject.provider}`, () => {
    test.each(subject.retried)('[P12] %s: tried again and completed', async (directive, code, retryAfterMs) => {
      const { chat, turn, events } = await stage.converse(directive);
      expect(chat.state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
      expect(answerText(chat.state)).toBe(tokens(20));
      const retries = events.flatMap(({ event }) => (event.kind === 'retry' ? [event] : []));
      expect(retries.map(({ attempt, error }) => [attempt, error.code])).toEqual([[1, code]]);
      for (const { delay_ms, error } of retries) {
        expect(delay_ms).toBeGreaterThanOrEqual(Math.max(10, retryAfterMs));
        expect(error.message).not.toContain(SECRET);
      }
      const ledger = await stage.attempts(turn);
      expect(ledger.map((row) => [row.outcome, row.code])).toEqual([
        ['failed', code],
        ['completed', null],
      ]);
      expect(ledger[1]?.waitedMs).toBeGreaterThanOrEqual(retryAfterMs);
      await expectNext(chat);
    });

    test.each(subject.refused)('[P12] %s: an error that says what to do, at once', async (directive, code, outcome) => {
      const { chat, turn, events } = await stage.converse(`${directive} times=9`);
      expect(chat.state.lastTurn).toMatchObject({ turn, outcome: 'error', error: { code } });
      expect(chat.state.chat).toMatchObject({ status: 'error', last_error: { code } });
      expect(chat.state.chat?.last_error?.message).not.toContain(SECRET);
      expect(events.filter(({ event }) => event.kind === 'retry')).toEqual([]);
      expect((await stage.attempts(turn)).map((row) => [row.outcome, row.code])).toEqual([[outcome, code]]);
      const listed = (await stage.client.list({ limit: 1 })).chats[0];
      expect(listed).toMatchObject({ id: chat.id, status: 'error', last_error: { code } });
      await expectNext(chat);
    });

    test.each(subject.harmless)('[P12] %s: %s', async (directive, outcome) => {
      const { chat, turn } = await stage.converse(directive);
      expect(chat.state.lastTurn).toEqual({ turn, outcome, error: null });
      expect(answerText(chat.state)).toBe(tokens(20));
      expect((await stage.attempts(turn)).map((row) => row.outcome)).toEqual(['completed']);
      await expectNext(chat);
    });

    test('[P12] a failure that does not end: tried as often as allowed, then an error, and the next message works', async () => {
      const { chat, turn, events } = await stage.converse(`${subject.overloaded.before} times=99`);
      expect(chat.state.lastTurn).toMatchObject({ outcome: 'error', error: { code: 'model_overloaded' } });
      expect(events.filter(({ event }) => event.kind === 'retry')).toHaveLength(ATTEMPTS_MAX - 1);
      const outcomes = (await stage.attempts(turn)).map((row) => row.outcome);
      expect(outcomes).toEqual(Array(ATTEMPTS_MAX).fill('failed'));
      await expectNext(chat);
    });

    test('[P12] a failure in mid-answer takes back what was shown, with a word', async () => {
      const { chat, events } = await stage.converse(subject.overloaded.within);
      const kinds = events.map(({ event }) => (event.kind === 'step' ? `step ${event.type}` : event.kind));
      const reset = kinds.indexOf('step reset');
      expect(kinds.slice(0, reset)).toContain('block');
      expect(kinds.indexOf('retry')).toBe(reset + 1);
      expect(chat.state.messages.filter(({ role }) => role === 'assistant')).toHaveLength(1);
    });

    test('[P12] a server that cannot be reached at all, and is there again', async () => {
      const away = await subject.startFake(0);
      const { url } = away;
      await away.stop();
      const lonely = await NodeProcess.start({
        env: { ...subject.env(url), PARLEY_RETRY_BASE_MS: '1', PARLEY_ATTEMPTS_MAX: '2' },
      });
      onTestFinished(() => lonely.stop());
      const visitor = await stage.clients.connect(lonely.url, lonely.token);
      const chat = visitor.chat((await visitor.createChat()).id);
      chat.attach();
      await chat.send('hello');
      const state = await chat.until(({ lastTurn }) => lastTurn !== null);
      expect(state.lastTurn).toMatchObject({ outcome: 'error', error: { code: 'model_unavailable', retry: 'later' } });
      const back = await subject.startFake(Number(new URL(url).port));
      onTestFinished(() => back.stop());
      await expectNext(chat);
    });
  });

  describe('the log of all that', () => {
    test('[style 13] it holds no prompt, reply or token, and each line is one of ours', () => expectQuietLog(stage));
  });

  return () => stage;
}

/** At level debug; a credential that somebody has changed comes last. */
async function expectQuietLog({ clients, node }: ProviderStage): Promise<void> {
  const forged = `${node.token.slice(0, -4)}AAAA`;
  await expect(clients.make(node.url, forged).ready()).rejects.toThrow();
  const refused = await node.logged((text) => text.includes('"reason":"unauthorized"'));
  expect(JSON.parse(refused)).toMatchObject({ level: 'info', msg: 'session closed' });
  for (const secret of [SECRET, 'token1 token2', ' I say ', 'fake:', node.token, forged]) {
    expect(node.stderr).not.toContain(secret);
  }
  const lines = node.stderr.split('\n').filter((text) => text.startsWith('{'));
  expect(lines.length).toBeGreaterThan(3);
  for (const text of lines) {
    const { level, msg } = JSON.parse(text) as Record<string, unknown>;
    expect(msg).toMatch(/^[a-z][\w ,'-]+$/);
    // Whatever a provider does is no reason for anybody to act on this node.
    expect(['warn', 'info', 'debug'], text).toContain(level);
  }
}
