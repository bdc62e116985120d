// API tokens and revocation over the wire of a node as people start it, with the administrator's command line beside it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { encodeArgs } from '../../protocol/codec.ts';
import { CommandError, type ParleyClient, type TokenId } from '../../protocol/client/index.ts';
import { type CommandId, uuidV7 } from '../../protocol/ids.ts';
import { systemRandom } from '../../gateway/system-ports.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { admin, adminJson } from '../support/admin.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';

const SECOND_MS = 1_000;
const clients = new Clients();
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterEach(() => clients.closeAll());

afterAll(() => node.stop());

async function visitor(subject: string, role?: 'auditor' | 'admin'): Promise<ParleyClient> {
  return clients.connect(node.url, await node.tokenFor(subject, role === undefined ? {} : { role }));
}

function environment(): Readonly<Record<string, string>> {
  return { PARLEY_DATA_DIR: node.dataDir };
}

async function code(refused: Promise<unknown>): Promise<string> {
  const error = await refused.catch((reason: unknown) => reason);
  return error instanceof CommandError ? error.code : `no refusal: ${JSON.stringify(error)}`;
}

/** The close code of a connection that comes with the credential; 0 when it is welcome. */
async function hello(credential: string): Promise<number> {
  const socket = await SocketClient.open(node.url);
  socket.send({ op: 'hello', version: 1, credential, client: 'test' });
  const welcome = socket.frame('welcome').then(() => 0);
  const end = await Promise.race([welcome, socket.closed.then((closed) => closed.code)]);
  await socket.close();
  return end;
}

describe('[access] the command line', () => {
  test('[access] a token that it makes opens its owner’s chats; revoked, its connections end and it opens none', async () => {
    const owner = await visitor('bot-1');
    const chat = await owner.createChat({ title: 'of the bot' });
    const made = await adminJson(
      ['token', 'create', '--owner', 'bot-1', '--name', 'night', '--expires', '30d'],
      environment(),
    );
    expect(made).toMatchObject({ owner: 'bot-1', name: 'night', role: 'member', revoked_at: null, parent: null });
    const token = String(made['token']);
    expect(token).toMatch(/^parley_[\w-]{49}$/);
    const bot = await SocketClient.live(node.url, token);
    expect(await bot.frame('welcome')).toMatchObject({ owner: 'bot-1', expiresAtMs: made['expires_at'] });
    const client = await clients.connect(node.url, token);
    expect((await client.list()).chats.map(({ id }) => id)).toEqual([chat.id]);
    const listed = await adminJson(['token', 'list', '--owner', 'bot-1'], environment());
    expect(listed['tokens']).toMatchObject([{ id: made['id'], name: 'night' }]);
    expect((listed['tokens'] as { last_used_at: number }[])[0]?.last_used_at).toBeGreaterThan(0);
    expect(JSON.stringify(listed)).not.toContain(token);

    expect(await admin(['token', 'revoke', String(made['id'])], environment())).toMatchObject({ code: 0 });
    const revokedAtMs = performance.now();
    expect(await bot.closed).toEqual({ code: CLOSE_CODES.revoked, reason: 'revoked' });
    expect(performance.now() - revokedAtMs).toBeLessThan(SECOND_MS);
    expect(await hello(token)).toBe(CLOSE_CODES.revoked);
    expect(owner.status.status).toBe('live');
    expect(node.stdout + node.stderr).not.toContain(token);
  });

  test('[access] an owner who is shut out is closed and stays out with every credential, until restored', async () => {
    const jwt = await node.tokenFor('bot-2');
    const token = String((await adminJson(['token', 'create', '--owner', 'bot-2'], environment()))['token']);
    const open = await Promise.all([SocketClient.live(node.url, jwt), SocketClient.live(node.url, token)]);
    const other = await SocketClient.live(node.url, await node.tokenFor('bot-3'));
    expect((await admin(['owner', 'revoke', 'bot-2'], environment())).stderr).toMatch(
      /shut out\. Done through the node/,
    );
    const revokedAtMs = performance.now();
    for (const socket of open) expect((await socket.closed).code).toBe(CLOSE_CODES.revoked);
    expect(performance.now() - revokedAtMs).toBeLessThan(SECOND_MS);
    expect([await hello(jwt), await hello(token), await hello(await node.tokenFor('bot-2'))]).toEqual([
      CLOSE_CODES.revoked,
      CLOSE_CODES.revoked,
      CLOSE_CODES.revoked,
    ]);
    other.send({ op: 'ping' });
    await other.frame('heartbeat');
    await other.close();
    await adminJson(['owner', 'restore', 'bot-2'], environment());
    expect([await hello(jwt), await hello(token)]).toEqual([0, 0]);
  });

  test('[access] what it cannot do it says in a line, with an exit code', async () => {
    const unknown = '01890a5d-ac96-774b-bcce-b302099a8057';
    const results = await Promise.all([
      admin(['token', 'revoke', unknown], environment()),
      admin(['token', 'create', '--role', 'root', '--expires', 'soon'], environment()),
      admin(['--help'], environment()),
      admin(['token', 'list'], { PARLEY_DATA_DIR: join(node.dataDir, 'nowhere') }),
      admin(['token', 'list'], { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/db' }),
    ]);
    expect(results.map((result) => result.code)).toEqual([1, 2, 0, 1, 1]);
    const [notFound, faulty, help, nowhere, down] = results;
    expect(notFound?.stderr).toMatch(/^parley: There is no such thing.*\n$/);
    expect(faulty?.stderr.match(/^parley: /gm)).toHaveLength(3);
    expect(help?.stdout).toMatch(/token create .*\n[^]*Exit codes: 0/);
    expect(nowhere?.stderr).toMatch(/^parley: There is no database in .*nowhere\. Start a node first/);
    expect(down?.stderr).toMatch(/^parley: No database answers/);
    expect(down?.stderr).not.toContain('hunter2');
  });
});

describe('[access] commands', () => {
  test('[access] members manage their own tokens, and nobody else’s; admins everybody’s', async () => {
    const [ann, ben, root] = [await visitor('ann'), await visitor('ben'), await visitor('root', 'admin')];
    const { token, info } = await ann.createToken({ name: 'of ann' });
    expect(info).toMatchObject({ owner: 'ann', role: 'member', name: 'of ann', expires_at: null });
    expect(await hello(token)).toBe(0);
    expect((await ann.tokens()).tokens.map(({ id }) => id)).toEqual([info.id]);
    expect((await ben.tokens()).tokens).toEqual([]);
    expect(await code(ben.tokens({ owner: 'ann' }))).toBe('forbidden');
    expect(await code(ben.createToken({ owner: 'ann' }))).toBe('forbidden');
    expect(await code(ben.createToken({ role: 'auditor' }))).toBe('forbidden');
    expect(await code(ben.revokeToken(info.id))).toBe('not_found');
    expect(await code(ben.revokeToken(uuidV7<TokenId>(Date.now(), systemRandom.bytes(10))))).toBe('not_found');
    expect(await code(ben.command('owners.revoke', { owner: 'ann' }))).toBe('forbidden');
    expect(await code(root.command('owners.revoke', { owner: 'root' }))).toBe('bad_args');
    expect(await code(ann.command('tokens.create', { hash: new Uint8Array(31) }))).toBe('bad_args');
    expect(await code(ann.command('tokens.create', { hash: new Uint8Array(32), expires_at: 1 }))).toBe('bad_args');
    expect(await code(ann.command('tokens.destroy', {}))).toBe('unknown_command');
    const foreign = await root.createToken({ owner: 'ben', role: 'auditor', expiresAtMs: Date.now() + 60_000 });
    expect(foreign.info).toMatchObject({ owner: 'ben', role: 'auditor' });
    expect((await ben.tokens()).tokens.map(({ id }) => id)).toEqual([foreign.info.id]);
    const bot = await SocketClient.live(node.url, token);
    await root.revokeToken(info.id);
    expect((await bot.closed).code).toBe(CLOSE_CODES.revoked);
    expect((await ann.tokens()).tokens[0]?.revoked_at).toBeGreaterThan(0);
  });

  test('[access] a token makes none with more rights, nor one that outlives it, and those that it made end with it', async () => {
    const ann = await visitor('maker');
    const ends = Date.now() + 60_000;
    const parent = await ann.createToken({ expiresAtMs: ends });
    const bot = await clients.connect(node.url, parent.token);
    expect(await code(bot.createToken({ role: 'admin' }))).toBe('forbidden');
    expect(await code(bot.createToken({ expiresAtMs: ends + 1 }))).toBe('forbidden');
    const child = await bot.createToken();
    expect(child.info).toMatchObject({ parent: parent.info.id, expires_at: ends, role: 'member' });
    const grandchild = await clients.connect(node.url, child.token);
    expect(await code(grandchild.createToken())).toBe('forbidden');
    const socket = await SocketClient.live(node.url, child.token);
    await ann.revokeToken(parent.info.id);
    expect((await socket.closed).code).toBe(CLOSE_CODES.revoked);
    expect(await hello(child.token)).toBe(CLOSE_CODES.revoked);
  });

  test('[P3] tokens.create again gives the same bytes, and no secret is in them, in the database or in the log', async () => {
    const socket = await SocketClient.live(node.url, await node.tokenFor('repeating'));
    const id = uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
    const rawArgs = encodeArgs({ hash: systemRandom.bytes(32), name: 'once' });
    const command = { op: 'command', request: 1, id, name: 'tokens.create', rawArgs } as const;
    socket.send(command, { ...command, request: 2 });
    await socket.frame('reply', 2);
    const [first, second] = socket.all('reply');
    expect(first?.error).toBeNull();
    expect(second?.result).toEqual(first?.result);
    socket.send({ ...command, request: 3, rawArgs: encodeArgs({ hash: systemRandom.bytes(32) }) });
    expect(await socket.frame('reply', 3)).toMatchObject({ error: { code: 'id_reused' } });
    socket.send({ op: 'query', request: 4, name: 'tokens.list', args: {} });
    expect((await socket.frame('reply', 4)).result).toMatchObject({ tokens: [{ name: 'once' }], next: null });
    await socket.close();
  });
});

describe('[access] without a node', () => {
  test('[access] the command line opens the database itself, says so, and the next start knows the token', async () => {
    await node.terminate();
    expect(() => readFileSync(join(node.dataDir, 'admin-token.json'))).toThrow(/ENOENT/);
    const made = await admin(['token', 'create', '--owner', 'early'], environment());
    expect(made.stderr).toMatch(/Done in the database in .*, which no node holds\./);
    const token = made.stdout.trim();
    await node.restart();
    expect(await hello(token)).toBe(0);
    const [other] = (await adminJson(['token', 'list'], environment()))['tokens'] as { readonly id: string }[];
    expect(other).toBeDefined();
  });
});
