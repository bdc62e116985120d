// Every failure of the fake Anthropic server, through the official SDK in a node of its own: what the chat shows, what the
// ledger holds, and that the next message works.

import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import type { ChatHandle, ErrorCode, ParleyClient, PositionedEvent, TurnOutcome } from '../../protocol/client/index.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';
import { answerText } from '../support/witness.ts';

const ATTEMPTS_MAX = 3;
const SILENCE_MS = 700;
/** The fake quotes this in its errors, as providers do: it must not get to anybody. */
const SECRET = 'my secret prompt';

const clients = new Clients();
let database: { url: string; drop(): Promise<void> };
let sql: postgres.Sql;
let fake: FakeAnthropic;
let node: NodeProcess;
let client: ParleyClient;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `integration_p12_${process.pid}`);
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  fake = await startFakeAnthropic({ apiKey: 'test' });
  node = await NodeProcess.start({
    env: {
      DATABASE_URL: database.url,
      ANTHROPIC_API_KEY: 'test',
      ANTHROPIC_BASE_URL: fake.url,
      PARLEY_ATTEMPTS_MAX: String(ATTEMPTS_MAX),
      PARLEY_RETRY_BASE_MS: '20',
      PARLEY_RETRY_CEILING_MS: '50',
      PARLEY_STREAM_SILENCE_TIMEOUT_MS: String(SILENCE_MS),
    },
  });
  client = await clients.connect(node.url, node.token);
});

afterAll(async () => {
  clients.closeAll();
  await node.stop();
  await fake.stop();
  await sql.end();
  await database.drop();
});

/** Failures of the moment, once: directive → what the retry says. */
const RETRIED: [directive: string, code: ErrorCode, retryAfterMs: number][] = [
  ['fail=408', 'model_unavailable', 0],
  ['fail=409', 'model_unavailable', 0],
  ['fail=429', 'model_rate_limited', 0],
  ['fail=429 retry-after=1s', 'model_rate_limited', 1_000],
  ['fail=429 retry-after-ms=300', 'model_rate_limited', 300],
  // An HTTP date knows whole seconds.
  ['fail=429 retry-after-date=2s', 'model_rate_limited', 500],
  ['fail=ramp', 'model_rate_limited', 0],
  ['fail=500', 'model_unavailable', 0],
  ['fail=502', 'model_unavailable', 0],
  ['fail=503', 'model_unavailable', 0],
  ['fail=504', 'model_unavailable', 0],
  ['fail=529', 'model_overloaded', 0],
  ['fail=529 retry-after-ms=250', 'model_overloaded', 250],
  ['fail=overloaded_error@5', 'model_overloaded', 0],
  ['fail=rate_limit_error@5', 'model_rate_limited', 0],
  ['fail=api_error@5', 'model_unavailable', 0],
  ['fail=timeout_error@5', 'model_unavailable', 0],
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

/** Failures that no retry heals. */
const REFUSED: [directive: string, code: ErrorCode][] = [
  ['fail=400', 'model_bad_request'],
  ['fail=422', 'model_bad_request'],
  ['fail=401', 'model_unauthorized'],
  ['fail=403', 'model_unauthorized'],
  ['fail=402', 'model_spend_limit'],
  ['fail=credit', 'model_spend_limit'],
  ['fail=spend', 'model_spend_limit'],
  ['fail=contract_spend', 'model_spend_limit'],
  ['fail=404', 'model_not_found'],
  ['fail=413', 'context_overflow'],
  ['fail=too_long', 'context_overflow'],
  ['fail=invalid_request_error@5', 'model_bad_request'],
  ['fail=authentication_error@5', 'model_unauthorized'],
  ['fail=billing_error@5', 'model_spend_limit'],
  ['stop=model_context_window_exceeded', 'context_overflow'],
  ['stop=tool_use', 'model_bad_request'],
];

/** No failures, whatever they look like. */
const HARMLESS: [directive: string, outcome: TurnOutcome][] = [
  ['unknown=1', 'completed'],
  ['pings=1', 'completed'],
  ['chunks=joined', 'completed'],
  ['chunks=split', 'completed'],
  ['chunks=byte', 'completed'],
  ['thinking=5', 'completed'],
  ['thinking=5 omitted=1', 'completed'],
  ['thinking=5 redacted=1', 'completed'],
  ['stop=stop_sequence', 'completed'],
  ['stop=max_tokens', 'max_tokens'],
  ['stop=refusal', 'refused'],
];

describe('every failure of the provider', () => {
  test.each(RETRIED)('[P12] %s: tried again and completed', async (directive, code, retryAfterMs) => {
    const { chat, turn, events } = await converse(directive);
    expect(chat.state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
    expect(answerText(chat.state)).toBe(tokens(20));
    const retries = events.flatMap(({ event }) => (event.kind === 'retry' ? [event] : []));
    expect(retries.map(({ attempt, error }) => [attempt, error.code])).toEqual([[1, code]]);
    for (const { delay_ms, error } of retries) {
      expect(delay_ms).toBeGreaterThanOrEqual(Math.max(10, retryAfterMs));
      expect(error.message).not.toContain(SECRET);
    }
    const ledger = await attempts(turn);
    expect(ledger.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['failed', code],
      ['completed', null],
    ]);
    expect(ledger[1]?.waitedMs).toBeGreaterThanOrEqual(retryAfterMs);
    await expectNext(chat);
  });

  test.each(REFUSED)('[P12] %s: an error that says what to do, at once', async (directive, code) => {
    const { chat, turn, events } = await converse(`${directive} times=9`);
    expect(chat.state.lastTurn).toMatchObject({ turn, outcome: 'error', error: { code } });
    expect(chat.state.chat).toMatchObject({ status: 'error', last_error: { code } });
    expect(chat.state.chat?.last_error?.message).not.toContain(SECRET);
    expect(events.filter(({ event }) => event.kind === 'retry')).toEqual([]);
    expect((await attempts(turn)).map(({ outcome, code }) => [outcome, code])).toEqual([
      [directive.startsWith('stop=model') ? 'completed' : 'failed', code],
    ]);
    const listed = (await client.list({ limit: 1 })).chats[0];
    expect(listed).toMatchObject({ id: chat.id, status: 'error', last_error: { code } });
    await expectNext(chat);
  });

  test.each(HARMLESS)('[P12] %s: %s', async (directive, outcome) => {
    const { chat, turn } = await converse(directive);
    expect(chat.state.lastTurn).toEqual({ turn, outcome, error: null });
    expect(answerText(chat.state)).toBe(tokens(20));
    expect((await attempts(turn)).map(({ outcome }) => outcome)).toEqual(['completed']);
    await expectNext(chat);
  });

  test('[P12] a failure that does not end: tried as often as allowed, then an error, and the next message works', async () => {
    const { chat, turn, events } = await converse('fail=529 times=99');
    expect(chat.state.lastTurn).toMatchObject({ outcome: 'error', error: { code: 'model_overloaded' } });
    expect(events.filter(({ event }) => event.kind === 'retry')).toHaveLength(ATTEMPTS_MAX - 1);
    expect((await attempts(turn)).map(({ outcome }) => outcome)).toEqual(Array(ATTEMPTS_MAX).fill('failed'));
    await expectNext(chat);
  });

  test('[P12] a failure in mid-answer takes back what was shown, with a word', async () => {
    const { chat, events } = await converse('fail=overloaded_error@5');
    const kinds = events.map(({ event }) => (event.kind === 'step' ? `step ${event.type}` : event.kind));
    const reset = kinds.indexOf('step reset');
    expect(kinds.slice(0, reset)).toContain('block');
    expect(kinds.indexOf('retry')).toBe(reset + 1);
    expect(chat.state.messages.filter(({ role }) => role === 'assistant')).toHaveLength(1);
  });

  test('[P12] a server that cannot be reached at all, and is there again', async () => {
    const away = await startFakeAnthropic();
    const { url } = away;
    await away.stop();
    const lonely = await NodeProcess.start({
      env: { ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: url, PARLEY_RETRY_BASE_MS: '1', PARLEY_ATTEMPTS_MAX: '2' },
    });
    onTestFinished(() => lonely.stop());
    const visitor = await clients.connect(lonely.url, lonely.token);
    const chat = visitor.chat((await visitor.createChat()).id);
    chat.attach();
    await chat.send('hello');
    const state = await chat.until(({ lastTurn }) => lastTurn !== null);
    expect(state.lastTurn).toMatchObject({ outcome: 'error', error: { code: 'model_unavailable', retry: 'later' } });
    const back = await startFakeAnthropic({ port: Number(new URL(url).port) });
    onTestFinished(() => back.stop());
    await expectNext(chat);
  });
});

/** A chat in which one message with the directive was sent, and its turn has ended. */
async function converse(directive: string): Promise<{
  readonly chat: ChatHandle;
  readonly turn: string;
  readonly events: readonly PositionedEvent[];
}> {
  const chat = client.chat((await client.createChat({ title: directive })).id);
  const events: PositionedEvent[] = [];
  chat.onEvent((event) => void events.push(event));
  chat.attach();
  // The fake tells messages apart by their text.
  const { turn } = await chat.send(`In chat ${chat.id} I say ${SECRET}.\nfake: ${directive}`);
  await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
  return { chat, turn, events };
}

type Attempt = { readonly outcome: string; readonly code: string | null; readonly waitedMs: number };

/** The ledger of a turn, in order: each attempt settled, with what it used. */
async function attempts(turn: string): Promise<readonly Attempt[]> {
  const rows = await sql`
    select attempt, outcome, error_code, settled_at, input_tokens, output_tokens, usage_estimated, provider, model,
      coalesce(extract(epoch from opened_at - lag(settled_at) over (order by attempt)) * 1000, 0)::float as waited_ms
    from attempts where turn = ${turn} order by attempt`;
  return rows.map((row, index) => {
    expect(row['attempt']).toBe(index + 1);
    expect([row['settled_at'], row['input_tokens'], row['output_tokens'], row['usage_estimated']]).not.toContain(null);
    expect(row['provider']).toBe('anthropic');
    return {
      outcome: String(row['outcome']),
      code: row['error_code'] as string | null,
      waitedMs: Number(row['waited_ms']),
    };
  });
}

/** The next message is answered by a provider that checks how messages pair, and the error is gone. */
async function expectNext(chat: ChatHandle): Promise<void> {
  const { turn } = await chat.send('fake: tokens=3');
  const state = await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
  expect(state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
  expect(answerText(state)).toBe(tokens(3));
  expect(state.chat).toMatchObject({ status: 'waiting', last_error: null });
}

function tokens(count: number): string {
  return Array.from({ length: count }, (_, n) => `token${n + 1} `).join('');
}
