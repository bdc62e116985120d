// What a node says of itself, beside what its clients saw and its database holds.
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { METRICS } from '../../gateway/metrics/definitions.ts';
import { systemRandom } from '../../gateway/system-ports.ts';
import { must } from '../../protocol/assert.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { encodeArgs } from '../../protocol/codec.ts';
import type { Args } from '../../protocol/frames.ts';
import { type ChatId, type CommandId, uuidFromBytes, uuidToBytes, uuidV7 } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Position } from '../../protocol/position.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';
import { scrape, type Scrape } from './support/exposition.ts';
import { rawGet } from './support/raw-http.ts';
import { SocketClient } from './support/socket-client.ts';

let database: { url: string; drop(): Promise<void> };
let sql: postgres.Sql;
let node: NodeProcess;
let url: string;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `metrics_${process.pid}`);
  sql = postgres(database.url, { max: 1, onnotice: () => undefined });
  const env = { DATABASE_URL: database.url, PARLEY_METRICS_PORT: '0', PARLEY_RETRY_BASE_MS: '10' };
  node = await NodeProcess.start({ env });
  url = must(/Metrics +(\S+)/.exec(node.stdout)?.[1], 'the node says where its metrics are');
});

afterAll(async () => {
  await node.stop();
  await sql.end();
  await database.drop();
});

let requests = 0;

async function command(client: SocketClient, name: string, args: Args): Promise<unknown> {
  requests += 1;
  const request = requests;
  const id = uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
  client.send({ op: 'command', request, id, name, rawArgs: encodeArgs(args) });
  await client.until(() => client.all('reply').some((reply) => reply.request === request));
  return client.all('reply').find((reply) => reply.request === request)?.result;
}

async function newChat(client: SocketClient): Promise<ChatId> {
  const result = (await command(client, 'chats.create', {})) as { readonly chat: { readonly id: Uint8Array } };
  return must(uuidFromBytes<ChatId>(result.chat.id), 'a chat has an id');
}

/** Sends and waits for the end of the turn; the chat is followed. */
async function turn(client: SocketClient, chat: ChatId, text: string): Promise<void> {
  const ended = turnsEnded(client);
  await command(client, 'chat.send', { chat: uuidToBytes(chat), content: [{ type: 'text', text }] });
  await client.until(() => turnsEnded(client) > ended);
}

function turnsEnded(client: SocketClient): number {
  return client.all('event').filter(({ event }) => event.kind === 'turn' && event.type === 'ended').length;
}

function lastPosition(client: SocketClient): Position {
  return must(client.all('event').at(-1), 'an event came').position;
}

/** Attaches again and again, and asks for what is not there; gives what the client was told. */
async function attachMuch(client: SocketClient, chat: ChatId): Promise<void> {
  for (let times = 0; times < 3; times++) {
    const attached = client.all('attached').length;
    client.send({ op: 'attach', chat, cursor: lastPosition(client) });
    await client.until(() => client.all('attached').length > attached);
  }
  const none = Array.from({ length: LIMITS.attachmentsPerSession }, () =>
    uuidV7<ChatId>(Date.now(), systemRandom.bytes(10)),
  );
  client.send(...none.map((id) => ({ op: 'attach', chat: id, cursor: null }) as const));
  await client.until(() => client.all('refused').length + outcomes(client, 'gone') === none.length);
}

function outcomes(client: SocketClient, outcome: string): number {
  return client.all('attached').filter((frame) => frame.outcome === outcome).length;
}

async function ledger(): Promise<ReadonlyMap<string, number>> {
  const rows = await sql<{ provider: string; outcome: string; error: string; n: number }[]>`
    select provider, outcome, coalesce(error_code, 'none') as error, count(*)::integer as n from attempts
    where outcome is not null group by 1, 2, 3`;
  return new Map(
    rows.map((row) => [`error="${row.error}",outcome="${row.outcome}",provider="${row.provider}"`, row.n]),
  );
}

/** WebSocket messages to clients. */
function sent(seen: Scrape): number {
  return seen.get('parley_websocket_messages_total', { direction: 'out' });
}

async function until(holds: (seen: Scrape) => boolean): Promise<Scrape> {
  for (;;) {
    const seen = await scrape(url);
    if (holds(seen)) return seen;
  }
}

describe('metrics of a node', () => {
  test('[P11] under load they are what the clients saw and what the ledger holds', async () => {
    const client = await SocketClient.live(node.url, node.token);
    const chat = await newChat(client);
    client.send({ op: 'attach', chat, cursor: null });
    await client.frame('attached');
    await turn(client, chat, '/script words=40 pace=0');
    await turn(client, chat, '/script words=20 pace=0 fail=overloaded@5 times=2');
    await turn(client, chat, '/script words=20 pace=0 fail=unauthorized@3 times=9');
    await attachMuch(client, chat);
    await command(client, 'chat.rename', { chat: uuidToBytes(chat), title: 'x'.repeat(LIMITS.titleChars + 1) });

    expect(node.stderr).toContain(`"metricsUrl":"${url}"`);
    // A message may be on its way while it is scraped: the moment is taken at which both sides have the same.
    const seen = await until((now) => sent(now) === client.messages);
    expect([...seen.families.keys()]).toEqual(METRICS.map(({ name }) => name));
    for (const { name, type } of METRICS) expect(seen.families.get(name)?.type, name).toBe(type);
    expect(seen.get('parley_sessions', { state: 'live' })).toBe(1);
    for (const outcome of ['resumed', 'snapshot', 'gone']) {
      expect(seen.get('parley_attaches_total', { outcome }), outcome).toBe(outcomes(client, outcome));
    }
    expect(outcomes(client, 'resumed')).toBe(3);
    expect(seen.get('parley_attachments')).toBe(1);
    expect(new Map(seen.series('parley_attempts_total'))).toEqual(await ledger());
    expect(seen.get('parley_attempt_retries_total', { provider: 'scripted', error: 'model_overloaded' })).toBe(2);
    expect(seen.get('parley_turns_total', { outcome: 'completed' })).toBe(2);
    expect(seen.get('parley_turns_total', { outcome: 'error' })).toBe(1);
    expect(seen.get('parley_commands_total', { name: 'chat.send', outcome: 'ok' })).toBe(3);
    expect(seen.get('parley_commands_total', { name: 'chat.rename', outcome: 'bad_args' })).toBe(1);
    expect(seen.get('parley_limits_hit_total', { limit: 'titleChars' })).toBe(1);
    const refused = client.all('refused').filter(({ error }) => error.code === 'too_many').length;
    expect(refused).toBeGreaterThan(0);
    expect(seen.get('parley_limits_hit_total', { limit: 'attachmentsPerSession' })).toBe(refused);
    const [snapshot] = client.all('attached');
    expect(seen.get('parley_events_sent_total')).toBe(lastPosition(client).seq - (snapshot?.position?.seq ?? 0));
    const commits = seen.get('parley_commit_batch_duration_seconds_count');
    expect(commits).toBeGreaterThan(5);
    expect(seen.get('parley_commit_batch_intents_count')).toBe(commits);
    expect(seen.get('parley_commit_batch_intents_sum')).toBe(
      seen.get('parley_commits_total', { outcome: 'committed' }),
    );
    await client.close();
    const after = await until((now) => now.get('parley_sessions', { state: 'live' }) === 0);
    expect(after.get('parley_attachments')).toBe(0);
    expect(after.get('parley_followers')).toBe(0);
    expect(after.get('parley_sessions_closed_total', { reason: 'gone' })).toBe(1);
  });

  test('[P11] limits that close a connection are counted under their names, refused upgrades by reason', async () => {
    const before = await scrape(url);
    const client = await SocketClient.live(node.url, node.token);
    client.socket.send(Buffer.from([0x94, 0x06, ...Array.from({ length: LIMITS.scannedDepth }, () => 0x91), 0xc0]));
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.bad_frame });
    const large = await SocketClient.live(node.url, node.token);
    large.socket.send(Buffer.alloc(LIMITS.inboundMessageBytes + 1, 0xc0));
    expect(await large.closed).toMatchObject({ code: CLOSE_CODES.too_large });
    const stranger = await SocketClient.open(node.url);
    stranger.send({ op: 'hello', version: 1, credential: 'nonsense', client: 'test' });
    await stranger.closed;
    await expect(SocketClient.open(node.url, { origin: 'https://evil.example' })).rejects.toThrow(/403/);
    const after = await scrape(url);
    const more = (name: string, labels: Readonly<Record<string, string>>): number =>
      after.get(name, labels) - before.get(name, labels);
    expect(more('parley_limits_hit_total', { limit: 'scannedDepth' })).toBe(1);
    expect(more('parley_limits_hit_total', { limit: 'inboundMessageBytes' })).toBe(1);
    expect(more('parley_upgrades_refused_total', { reason: 'origin' })).toBe(1);
    expect(more('parley_authentications_total', { outcome: 'unauthorized' })).toBe(1);
    expect(more('parley_sessions_closed_total', { reason: 'bad_frame' })).toBe(1);
    expect(more('parley_sessions_closed_total', { reason: 'unauthorized' })).toBe(1);
  });

  test('[P11] who watches the feed of its chats is counted, and what goes out of it', async () => {
    const client = await SocketClient.live(node.url, node.token);
    client.send({ op: 'watch', request: 1, cursor: 0 });
    await client.frame('feed');
    const seen = await scrape(url);
    expect(seen.get('parley_feed_watchers')).toBe(1);
    expect(seen.get('parley_feed_owners')).toBe(1);
    expect(seen.get('parley_feed_frames_sent_total')).toBeGreaterThanOrEqual(client.all('feed').length);
    await client.close();
    expect((await until((now) => now.get('parley_feed_watchers') === 0)).get('parley_feed_owners')).toBe(0);
  });

  test('[§8] nobody but a scraper of this machine is served, and the clients’ port serves no metrics', async () => {
    const port = Number(new URL(url).port);
    expect((await rawGet(port, '/metrics', { host: 'rebound.example' })).status).toBe(403);
    expect((await rawGet(port, '/other')).status).toBe(404);
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(405);
    expect((await fetch(`${node.httpUrl}/metrics`)).status).toBe(404);
    expect((await fetch(url)).headers.get('content-type')).toContain('version=0.0.4');
  });
});
