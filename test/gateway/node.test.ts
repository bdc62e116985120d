// The node as a process: what a person sees who starts it, starts it wrongly, stops it or kills it.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { encodeArgs } from '../../protocol/codec.ts';
import { type ChatId, type CommandId, uuidFromBytes, uuidToBytes, uuidV7 } from '../../protocol/ids.ts';
import { systemRandom } from '../../gateway/system-ports.ts';
import { createDatabase } from '../support/postgres.ts';
import { NodeProcess } from './support/node-process.ts';
import { SocketClient } from './support/socket-client.ts';

let folder: string;
let nodes: NodeProcess[];

/** A data folder that was used once and left in order: making a database takes most of the time of a first start. */
let template: string;

beforeAll(async () => {
  template = join(mkdtempSync(join(tmpdir(), 'parley-node-')), 'data');
  const node = new NodeProcess(['--port', '0'], { PARLEY_DATA_DIR: template });
  await node.up();
  node.signal('SIGTERM');
  expect(await node.exited).toMatchObject({ code: 0 });
});

afterAll(() => rmSync(join(template, '..'), { recursive: true, force: true }));

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'parley-node-')), 'data');
  nodes = [];
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.end()));
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

function start(
  args: readonly string[] = ['--port', '0'],
  environment: Readonly<Record<string, string>> = {},
): NodeProcess {
  const node = new NodeProcess(args, { PARLEY_DATA_DIR: folder, ...environment });
  nodes.push(node);
  return node;
}

function copyTemplate(): void {
  cpSync(template, folder, { recursive: true });
}

function access(): { readonly url: string; readonly token: string } {
  return JSON.parse(readFileSync(join(folder, 'dev-token.json'), 'utf8')) as { url: string; token: string };
}

function commandId(): CommandId {
  return uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
}

/** A chat with a turn that goes on for a minute, and a client that follows it. */
async function runningChat(url: string): Promise<{ readonly client: SocketClient; readonly chat: ChatId }> {
  const client = await SocketClient.live(url, access().token);
  client.send({ op: 'command', request: 1, id: commandId(), name: 'chats.create', rawArgs: encodeArgs({}) });
  const { result } = await client.frame('reply');
  const chat = uuidFromBytes<ChatId>((result as { readonly chat: { readonly id: Uint8Array } }).chat.id);
  if (chat === null) throw new Error('a chat has an id');
  const content = [{ type: 'text', text: '/script words=2000 pace=30' }];
  const rawArgs = encodeArgs({ chat: uuidToBytes(chat), content });
  client.send(
    { op: 'attach', chat, cursor: null },
    { op: 'command', request: 2, id: commandId(), name: 'chat.send', rawArgs },
  );
  expect(await client.frame('reply', 2)).toMatchObject({ error: null });
  await client.until(() => client.all('event').filter(({ event }) => event.kind === 'block').length > 3);
  return { client, chat };
}

describe('start', () => {
  test('[gateway] on an empty folder a node is up, says what it chose, and leaves a token for this user only', async () => {
    const node = start();
    const url = await node.up();
    expect(access()).toMatchObject({ url });
    expect(node.stdout).toContain(access().token);
    expect(node.stdout).toMatch(/Database .* survives kill -9, not power loss\. Set DATABASE_URL/);
    expect(node.stdout).toMatch(/Model .* scripted.* Set ANTHROPIC_API_KEY/);
    expect(node.complaints).toEqual([]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const file of ['dev-token.json', 'dev-secret']) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    const client = await SocketClient.live(url, access().token);
    expect(await client.frame('welcome')).toMatchObject({ owner: 'dev' });
    await client.close();
    expect(node.stderr).not.toContain(access().token);
  });

  test('[gateway] with a secret of its own there is no development token, and an old one is taken away', async () => {
    copyTemplate();
    const first = start();
    await first.up();
    const { token } = access();
    first.signal('SIGTERM');
    await first.exited;
    const second = start(['--port', '0'], { PARLEY_JWT_SECRET: 's'.repeat(32) });
    const url = await second.up();
    expect(() => access()).toThrow(/ENOENT/);
    expect(second.stdout).not.toContain('Development token');
    const client = await SocketClient.open(url);
    client.send({ op: 'hello', version: 1, credential: token, client: 'test' });
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.unauthorized });
  });

  test('[gateway] a second node on the same folder says so and ends', async () => {
    copyTemplate();
    const first = start();
    await first.up();
    const second = start();
    expect(await second.exited).toMatchObject({ code: 1 });
    expect(second.complaints).toHaveLength(1);
    expect(second.complaints[0]).toContain(String(first.pid));
    expect(second.stdout).toBe('');
  });

  test('[gateway] a taken port says so, ends, and leaves the folder to the next start', async () => {
    copyTemplate();
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const taken = start(['--port', port]);
    expect(await taken.exited).toMatchObject({ code: 1 });
    expect(taken.complaints).toEqual([
      `parley: Port ${port} of 127.0.0.1 is taken by another process. Stop that one, or choose another with --port (PARLEY_PORT).`,
    ]);
    other.close();
    await start(['--port', port]).up();
  });

  test('[gateway] a database that does not answer, or a model that is not set up, is one line and exit 1', async () => {
    const wrong = [
      start(['--port', '0'], { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/db' }),
      start(['--port', '0', '--default-model', 'gpt-0']),
    ];
    for (const node of wrong) {
      expect(await node.exited).toMatchObject({ code: 1 });
      expect(node.complaints).toHaveLength(1);
      expect(node.stderr).not.toContain('hunter2');
    }
    expect(wrong[0]?.complaints[0]).toMatch(/127\.0\.0\.1:1 .*DATABASE_URL/);
    expect(wrong[1]?.complaints[0]).toMatch(/"gpt-0" is not set up.*--default-model/);
  });

  test('[gateway] a faulty configuration is reported whole with exit 2, --help is exit 0', async () => {
    const [faulty, help] = [start(['--prot', '1', '--host', '0.0.0.0']), start(['--help'])];
    expect(await faulty.exited).toMatchObject({ code: 2 });
    expect(faulty.complaints).toHaveLength(2);
    expect(faulty.complaints[0]).toContain('Did you mean --port?');
    expect(faulty.stdout).toBe('');
    expect(await help.exited).toMatchObject({ code: 0 });
    expect(help.stdout).toContain('PARLEY_DATA_DIR');
    expect(() => statSync(folder)).toThrow(/ENOENT/);
  });
});

describe('on Postgres', () => {
  test('[P1] a second node is refused while the first lives; after a kill -9 it takes over within seconds', async () => {
    const database = await createDatabase(inject('postgresUrl'), `node_${randomBytes(6).toString('hex')}`);
    const environment = { DATABASE_URL: database.url };
    const first = start(['--port', '0'], environment);
    const { client, chat } = await runningChat(await first.up());
    const second = start(['--port', '0'], environment);
    expect(await second.exited).toMatchObject({ code: 1 });
    expect(second.complaints).toEqual([
      'parley: Another Parley node uses this database. Stop it first, or give this one another DATABASE_URL. ' +
        'To run several on one database set NATS_URL on each.',
    ]);
    client.send({ op: 'ping' });
    await client.frame('heartbeat');
    await first.end();
    await client.close();
    const third = start(['--port', '0'], environment);
    const again = await SocketClient.live(await third.up(), access().token);
    expect(third.stdout).not.toContain('embedded');
    again.send({ op: 'attach', chat, cursor: null });
    expect(await again.frame('attached')).toMatchObject({ outcome: 'snapshot' });
    await again.close();
    await third.end();
    await database.drop();
  });
});

describe('end', () => {
  test('[gateway] SIGTERM is graceful: drain, bye, going_away, exit 0; the next start takes the same token', async () => {
    copyTemplate();
    const node = start();
    const client = await SocketClient.live(await node.up(), access().token);
    const { token } = access();
    node.signal('SIGTERM');
    expect(await client.closed).toEqual({ code: CLOSE_CODES.going_away, reason: 'going_away' });
    expect(client.frames.map((frame) => frame.op)).toEqual(['welcome', 'drain', 'bye']);
    expect(await node.exited).toMatchObject({ code: 0 });
    expect(node.complaints).toEqual([]);
    const next = await SocketClient.live(await start().up(), token);
    await next.close();
  });

  test('[gateway] a stop in mid-turn keeps to its bound, and the turn goes on with the next start', async () => {
    copyTemplate();
    const node = start(['--port', '0', '--drain-timeout-ms', '300']);
    const { client, chat } = await runningChat(await node.up());
    node.signal('SIGTERM');
    expect(await client.closed).toMatchObject({ code: CLOSE_CODES.going_away });
    expect(await node.exited).toMatchObject({ code: 0 });
    const again = await SocketClient.live(await start().up(), access().token);
    again.send({ op: 'attach', chat, cursor: null });
    expect(await again.frame('attached')).toMatchObject({ piece: { head: { chat: { status: 'running' } } } });
    await again.close();
  });

  test('[gateway] a signal that comes twice at once is one, as npm hands Ctrl-C on', async () => {
    copyTemplate();
    const node = start(['--port', '0']);
    await node.up();
    node.signal('SIGINT');
    node.signal('SIGINT');
    expect(await node.exited).toMatchObject({ code: 0 });
  });

  test('[gateway] a second signal ends the process at once', async () => {
    copyTemplate();
    const node = start(['--port', '0', '--drain-timeout-ms', '600000']);
    const { client } = await runningChat(await node.up());
    node.signal('SIGINT');
    await node.logged('node stopping');
    node.signal('SIGTERM');
    expect(await node.exited).toMatchObject({ code: 1 });
    await client.close();
  });

  test('[P3] kill -9 in mid-turn: the next start is up in seconds and the chat is there', async () => {
    copyTemplate();
    const node = start();
    const { client, chat } = await runningChat(await node.up());
    await node.end();
    await client.close();
    const again = await SocketClient.live(await start().up(), access().token);
    again.send({ op: 'attach', chat, cursor: null });
    const { outcome } = await again.frame('attached');
    expect(outcome).toBe('snapshot');
    await again.close();
  });
});
