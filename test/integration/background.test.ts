// A turn in the background at the provider, and a node that is killed in the middle of it: the same response goes on, is
// paid once, and its text is what every client ends with. The provider is a fake of the Responses API in this process,
// which keeps its own books; the ledger of the node is read by SQL.

import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { type FakeResponses, startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import { must } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { ChatState, ParleyClient } from '../../protocol/client/index.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

/** About 4 s of answer. */
const DIRECTIVE = 'fake: thinking=4 tokens=800 pace=5ms';
const TEXT = tokens(800);

const clients = new Clients();
let database: { url: string; drop(): Promise<void> };
let sql: postgres.Sql;
let fake: FakeResponses;
let node: NodeProcess;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `integration_background_${process.pid}`);
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  fake = await startFakeResponses({ apiKey: 'test' });
  node = await NodeProcess.start({
    env: {
      DATABASE_URL: database.url,
      OPENAI_API_KEY: 'test',
      // Responses that are paid are counted.
      PARLEY_TITLE_MODEL: 'none',
      OPENAI_BASE_URL: fake.baseUrl,
      // What the SDK would read by itself: none of it may matter.
      OPENAI_ORG_ID: 'evil',
      OPENAI_PROJECT_ID: 'evil',
      OPENAI_ADMIN_KEY: 'evil',
      OPENAI_WEBHOOK_SECRET: 'evil',
      OPENAI_LOG: 'debug',
      OPENAI_CUSTOM_HEADERS: 'x-evil: evil',
      // Without it Node takes no notice of the proxies.
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: 'http://127.0.0.1:1',
      HTTPS_PROXY: 'http://127.0.0.1:1',
      PARLEY_RETRY_BASE_MS: '20',
      PARLEY_RETRY_CEILING_MS: '50',
      PARLEY_DRAIN_TIMEOUT_MS: '300',
      PARLEY_DRAIN_SPREAD_MS: '100',
    },
  });
});

afterEach(() => clients.closeAll());

afterAll(async () => {
  await node.stop();
  await fake.stop();
  await sql.end();
  await database.drop();
});

let paidBefore = 0;
beforeEach(() => {
  paidBefore = fake.endpoint.paid.length;
});

describe('kill -9 in mid-stream', () => {
  test.each([
    { when: 'after a second of text', chars: 1_500, env: {} },
    { when: 'before anything was journaled', chars: 1, env: { PARLEY_JOURNAL_EVERY_MS: '60000' } },
    { when: 'before the first text', chars: 0, env: {} },
  ])('[P10][P5] $when: one response is paid, and its text is what all clients end with', async ({ chars, env }) => {
    await node.kill();
    await node.restart(env);
    const client = await clients.connect(node.url, node.token);
    const { chat, turn, witness } = await converse(client);
    if (chars > 0) await witness.handle.until((state) => answerText(state).length >= chars);
    else await referenced(turn);
    await node.kill();
    const crashedWith = witness.longest;
    expect(TEXT.startsWith(crashedWith)).toBe(true);
    await node.restart();
    const state = await witness.handle.until(isOver);
    expect(state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
    expect(answerText(state)).toBe(TEXT);
    expect(witness.faults).toEqual([]);
    await expectPaidOnce(turn);
    const fresh = (await clients.connect(node.url, node.token)).chat(chat);
    fresh.attach();
    const truth = await fresh.until(isOver);
    expect(sharedState(state)).toEqual(sharedState(truth));
    expect(truth.messages.filter(({ role }) => role === 'assistant')).toHaveLength(1);
    expect(truth.messages.at(-1)).not.toHaveProperty('interrupted');
    await expectNext(client, chat);
  });

  test('[P10] twice in one turn', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client);
    for (const chars of [600, 2_500]) {
      await witness.handle.until((state) => answerText(state).length >= chars);
      await node.kill();
      await node.restart();
    }
    const state = await witness.handle.until(isOver);
    expect(answerText(state)).toBe(TEXT);
    expect(witness.faults).toEqual([]);
    await expectPaidOnce(turn);
    expect(newest().retrievals).toBeGreaterThanOrEqual(2);
  });

  test('[P10] the response went on to its end while nobody was there', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client, 'fake: tokens=100 pace=5ms');
    await witness.handle.until((state) => answerText(state).length >= 100);
    await node.kill();
    while ((await resource(newest().id))['status'] !== 'completed') await turnOfLoop();
    await node.restart();
    const state = await witness.handle.until(isOver);
    expect(answerText(state)).toBe(tokens(100));
    await expectPaidOnce(turn);
  });

  test('[P4][P10] SIGTERM: nothing is taken back, and one response is paid', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client);
    await witness.handle.until((state) => answerText(state).length >= 1_000);
    await node.terminate('node');
    await node.restart();
    const state = await witness.handle.until(isOver);
    expect(state.retracted).toBeNull();
    expect(answerText(state)).toBe(TEXT);
    await expectPaidOnce(turn);
  });

  test('[P10] past the time for which it is streamed it is read whole', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client, 'fake: tokens=300 pace=5ms');
    await witness.handle.until((state) => answerText(state).length >= 300);
    await node.kill();
    fake.endpoint.enqueueRetrievals('unstreamable');
    await node.restart();
    const state = await witness.handle.until(isOver);
    expect(answerText(state)).toBe(tokens(300));
    await expectPaidOnce(turn);
  });

  test('[P10][P12] gone at the provider: another attempt, both in the ledger, the text whole', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client, 'fake: tokens=300 pace=5ms');
    await witness.handle.until((state) => answerText(state).length >= 300);
    await node.kill();
    fake.endpoint.enqueueRetrievals('gone', 'gone');
    await node.restart();
    const state = await witness.handle.until(isOver);
    expect(answerText(state)).toBe(tokens(300));
    expect(witness.faults).toEqual([]);
    expect(fake.endpoint.paid.length - paidBefore).toBe(2);
    expect(await ledger(turn)).toMatchObject([
      { outcome: 'failed', error_code: 'model_unavailable', usage_estimated: true },
      { outcome: 'completed', usage_estimated: false },
    ]);
  });
});

describe('without a crash', () => {
  test('[P10] a connection that breaks is no new attempt', async () => {
    const client = await clients.connect(node.url, node.token);
    const { turn, witness } = await converse(client, 'fake: tokens=300 pace=1ms fail=reset@40');
    const state = await witness.handle.until(isOver);
    expect(answerText(state)).toBe(tokens(300));
    await expectPaidOnce(turn);
  });

  test('[P6] a stop cancels the response at the provider, and keeps what was shown', async () => {
    const client = await clients.connect(node.url, node.token);
    const { chat, turn, witness } = await converse(client);
    await witness.handle.until((state) => answerText(state).length >= 200);
    await witness.handle.stop();
    const state = await witness.handle.until(({ lastTurn }) => lastTurn?.turn === turn);
    expect(state.lastTurn?.outcome).toBe('stopped');
    while (newest().cancels === 0) await turnOfLoop();
    expect((await resource(newest().id))['status']).toBe('cancelled');
    expect(await ledger(turn)).toMatchObject([{ outcome: 'aborted', usage_estimated: true }]);
    await expectNext(client, chat);
  });

  test('[models 4.5] a chat without the policy stores nothing at the provider', async () => {
    const client = await clients.connect(node.url, node.token);
    const chat = await client.createChat();
    expect(chat).not.toHaveProperty('background');
    const { turn } = await client.send(chat.id, { text: 'fake: tokens=2' });
    const handle = client.chat(chat.id);
    handle.attach();
    await handle.until(({ lastTurn }) => lastTurn?.turn === turn);
    expect(fake.requests.at(-1)?.body).toMatchObject({ store: false });
    expect(JSON.stringify(fake.requests.at(-1)?.headers)).not.toContain('evil');
    expect((await ledger(turn))[0]).toMatchObject({ provider_ref: null, outcome: 'completed' });
  });
});

async function converse(client: ParleyClient, directive = DIRECTIVE) {
  const created = await client.createChat({ background: true });
  expect(created.background).toBe(true);
  const witness = new Witness(client, client.chat(created.id));
  witness.handle.attach();
  const { turn } = await client.send(created.id, { text: `In chat ${created.id}.\n${directive}` });
  return { chat: created.id, turn, witness };
}

/** The next message is answered by a provider that checks what it is sent. */
async function expectNext(client: ParleyClient, chat: ChatId): Promise<void> {
  const handle = client.chat(chat);
  const { turn } = await client.send(chat, { text: 'fake: tokens=3' });
  const state = await handle.until(({ lastTurn }) => lastTurn?.turn === turn);
  expect(state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
  expect(answerText(state)).toBe(tokens(3));
}

/** The provider's books and the node's ledger say the same. */
async function expectPaidOnce(turn: string): Promise<void> {
  expect(fake.endpoint.paid.length - paidBefore).toBe(1);
  const paid = newest();
  expect(paid).toMatchObject({ background: true, cancels: 0 });
  const rows = await ledger(turn);
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({
    outcome: 'completed',
    error_code: null,
    provider: 'openai',
    provider_ref: paid.id,
    usage_estimated: false,
    output_tokens: String(paid.outputTokens),
    prompt_tokens: String(paid.inputTokens),
  });
}

function ledger(turn: string): Promise<readonly postgres.Row[]> {
  return sql`
    select attempt, outcome, error_code, provider, provider_ref, usage_estimated, output_tokens,
      input_tokens + cache_read_tokens + cache_write_tokens as prompt_tokens
    from attempts where turn = ${turn} and settled_at is not null order by opened_at, id`;
}

/** Until the ledger says what runs at the provider. */
async function referenced(turn: string): Promise<void> {
  for (;;) {
    const [row] = await sql`select provider_ref from attempts where turn = ${turn}`;
    if (typeof row?.['provider_ref'] === 'string') return;
  }
}

function newest() {
  return must(fake.endpoint.paid.at(-1), 'the provider was paid');
}

async function resource(id: string): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${fake.baseUrl}/responses/${id}`, { headers: { authorization: 'Bearer test' } });
  return (await response.json()) as Readonly<Record<string, unknown>>;
}

function isOver({ turn, lastTurn, messages, chat }: ChatState): boolean {
  return turn === null && lastTurn !== null && chat?.status === 'waiting' && messages.at(-1)?.role === 'assistant';
}

function tokens(count: number): string {
  return Array.from({ length: count }, (_, n) => `token${n + 1} `).join('');
}

function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
