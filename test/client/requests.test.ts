// Commands and queries, on a simulated clock: they take effect once, whatever happens to replies and connections.

import { describe, expect, test } from 'vitest';
import { errorBody, type ErrorCode } from '../../protocol/errors.ts';
import type { ClientFrame } from '../../protocol/frames.ts';
import { uuidV7Ms, type CommandId } from '../../protocol/ids.ts';
import { ClientError } from '../../protocol/client/errors.ts';
import { CLIENT_LIMITS } from '../../protocol/client/limits.ts';
import { FakeServer, type FakeSocket } from './fake-server.ts';
import { mustUuid } from './ids.ts';

const CHAT = mustUuid<never>('00000000-0000-7000-8000-000000000001');

describe('[P3] commands', () => {
  test('[P3] the result of the reply; the id is a UUIDv7 by the clock of the server', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    socket.push({ op: 'heartbeat', nowMs: 1_800_000_000_000, positions: [] });
    const renamed = server.client.command('chat.rename', { title: 'x' });
    const command = await taken(socket, 'command');
    expect(command).toMatchObject({ name: 'chat.rename', args: { title: 'x' } });
    expect(uuidV7Ms(command.id)).toBe(1_800_000_000_000);
    socket.push({ op: 'reply', request: command.request, result: { ok: 1 }, error: null });
    await expect(renamed).resolves.toEqual({ ok: 1 });
    expect(server.client.pendingRequests).toBe(0);
    server.client.close();
    expect(server.clock.pending).toBe(0);
  });

  test('[P3] after a reconnect: in order, with the same ids and bytes, until the reply has come, and then no more', async () => {
    const server = new FakeServer();
    const first = await server.live();
    const answers = ['a', 'b', 'c'].map((title) => server.client.command('chat.rename', { title }));
    await server.clock.advance(0);
    const sent = commands(first);
    expect(sent.map(({ args }) => args['title'])).toEqual(['a', 'b', 'c']);
    first.push(replyTo(sent[0], 'done a'));
    first.cut();
    await server.clock.advance(1_000);
    const second = server.welcome();
    const again = commands(second);
    expect(again.map(({ id, name, rawArgs }) => ({ id, name, rawArgs }))).toEqual(
      sent.slice(1).map(({ id, name, rawArgs }) => ({ id, name, rawArgs })),
    );
    second.push(replyTo(again[0], 'done b'), replyTo(again[1], 'done c'));
    await expect(Promise.all(answers)).resolves.toEqual(['done a', 'done b', 'done c']);
    second.cut();
    await server.clock.advance(1_000);
    expect(commands(server.welcome())).toEqual([]);
    server.client.close();
  });

  test('[P3] replies that are late, repeated or of nobody are dropped', async () => {
    const server = new FakeServer();
    const first = await server.live();
    const answer = server.client.command('chat.rename', { title: 'a' });
    const old = await taken(first, 'command');
    first.cut();
    await server.clock.advance(1_000);
    const second = server.welcome();
    const { request } = await taken(second, 'command');
    // The number of the first try means nothing on the new connection.
    second.push(replyTo(old, 'old'), { op: 'reply', request: 9_999, result: 'nobody', error: null });
    expect(server.client.pendingRequests).toBe(1);
    second.push({ op: 'reply', request, result: 'new', error: null });
    second.push({ op: 'reply', request, result: 'newer', error: null });
    await expect(answer).resolves.toBe('new');
    server.client.close();
  });

  test('[P3] a command made while offline waits for the connection', async () => {
    const server = new FakeServer();
    server.client.connect();
    const answer = server.client.command('chat.rename', { title: 'a' }, { id: mustUuid<CommandId>(CHAT) });
    const socket = server.welcome();
    const command = await taken(socket, 'command');
    expect(command.id).toBe(CHAT);
    socket.push(replyTo(command, 'done'));
    await expect(answer).resolves.toBe('done');
    server.client.close();
  });

  test('[P3] unknown outcomes and errors of the moment are asked again under the same id, within a bound', async () => {
    for (const code of ['unknown_outcome', 'internal', 'unavailable', 'shutting_down', 'rate_limited'] as const) {
      const server = new FakeServer();
      const socket = await server.live();
      const answer = server.client.command('chat.rename', { title: 'a' });
      const ids = new Set<string>();
      await answerAll(server, socket, code, ids);
      await expect(answer).rejects.toMatchObject({ name: 'CommandError', code, body: errorBody(code) });
      expect(ids.size).toBe(1);
      expect(server.client.pendingRequests).toBe(0);
      server.client.close();
      expect(server.clock.pending).toBe(0);
    }
  });

  test('[P3] what the server asks to wait is waited', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    void server.client.command('chat.rename', { title: 'a' }).catch(() => {});
    const { request } = await taken(socket, 'command');
    socket.push({ op: 'reply', request, result: null, error: errorBody('rate_limited', undefined, 5_000) });
    await server.clock.advance(5_124);
    expect(socket.untaken()).not.toContain('command');
    await server.clock.advance(1);
    expect(socket.untaken()).toContain('command');
    server.client.close();
  });

  test('[P3] an error that is an answer rejects at once, with the catalogue entry', async () => {
    for (const code of ['queue_full', 'archived', 'id_reused', 'already_applied', 'busy', 'not_found'] as const) {
      const server = new FakeServer();
      const socket = await server.live();
      const answer = server.client.command('chat.rename', { title: 'a' });
      const { request } = await taken(socket, 'command');
      socket.push({ op: 'reply', request, result: null, error: errorBody(code) });
      await expect(answer).rejects.toMatchObject({ code, message: errorBody(code).message });
      server.client.close();
    }
  });

  test('[P3] no reply on a live connection: asked again under the same id', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const answer = server.client.command('chat.rename', { title: 'a' });
    const { id } = await taken(socket, 'command');
    await server.clock.advance(20_000);
    socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    await server.clock.advance(11_000);
    const again = await taken(socket, 'command');
    expect(again.id).toBe(id);
    socket.push(replyTo(again, 'done'));
    await expect(answer).resolves.toBe('done');
    server.client.close();
  });

  test('[P3] a server that lives and never replies: the outcome is unknown after as many tries as any', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const answer = server.client.command('chat.rename', { title: 'a' }).catch((error: unknown) => error);
    for (let second = 0; second < 400; second++) {
      await server.clock.advance(1_000);
      socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    }
    expect(await answer).toMatchObject({ code: 'unknown_outcome' });
    expect(commands(socket)).toHaveLength(CLIENT_LIMITS.requestTriesMax);
    expect(new Set(commands(socket).map(({ id }) => id)).size).toBe(1);
    server.client.close();
  });

  test('[P3] replies that come with the bye are taken, not asked for again', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const answer = server.client.command('chat.rename', { title: 'a' });
    socket.push(replyTo(await taken(socket, 'command'), 'done'), { op: 'bye', code: 4000, reason: 'going_away' });
    await expect(answer).resolves.toBe('done');
    await server.clock.advance(1_000);
    expect(commands(server.welcome())).toEqual([]);
    server.client.close();
  });
});

describe('[P11] the outbox is bounded', () => {
  test('[P11] a request more than it holds rejects at once and clearly; the others go on', async () => {
    const server = new FakeServer();
    server.client.connect();
    const waiting = Array.from({ length: CLIENT_LIMITS.pendingRequests }, () => server.client.command('x', {}));
    await expect(server.client.command('x', {})).rejects.toMatchObject({ name: 'ClientError', kind: 'outbox_full' });
    const all = Promise.allSettled(waiting);
    server.client.close();
    expect((await all).every(({ status }) => status === 'rejected')).toBe(true);
  });

  test('[P11] by bytes too', async () => {
    const server = new FakeServer();
    server.client.connect();
    const text = 'x'.repeat(60_000);
    const large = { content: [text, text, text, text] };
    const outcomes = Array.from({ length: 40 }, () => server.client.command('x', large).catch(kindOf));
    const refused = await outcomes.at(-1);
    expect(refused).toBe('outbox_full');
    server.client.close();
    expect((await Promise.all(outcomes)).filter((kind) => kind === 'closed')).toHaveLength(34);
  });

  test('[P11] no more than a window of them is under way', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const answers = Array.from({ length: 200 }, (_, n) => server.client.query('x', { n }));
    await server.clock.advance(0);
    const seen: unknown[] = [];
    while (seen.length < 200) {
      const under = socket.frames.filter((frame) => frame.op === 'query').slice(seen.length);
      expect(under.length).toBeLessThanOrEqual(CLIENT_LIMITS.sentRequests);
      const next = under[0];
      if (next === undefined) throw new Error('nothing is under way');
      seen.push(next.args['n']);
      socket.push(replyTo(next, next.args['n']));
    }
    await expect(Promise.all(answers)).resolves.toEqual(seen);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => n));
    server.client.close();
  });
});

describe('[client] queries and ends', () => {
  test('[client] queries are asked again after a reconnect', async () => {
    const server = new FakeServer();
    const first = await server.live();
    const models = server.client.models();
    expect((await taken(first, 'query')).name).toBe('models.list');
    first.cut();
    await server.clock.advance(1_000);
    const second = server.welcome();
    const { request } = await taken(second, 'query');
    second.push({ op: 'reply', request, result: { models: [{ id: 'm', default: true }] }, error: null });
    await expect(models).resolves.toEqual([{ id: 'm', isDefault: true }]);
    server.client.close();
  });

  test('[client] a terminal close rejects what waits, and what comes after it', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const waiting = server.client.command('chat.rename', { title: 'a' });
    await server.clock.advance(0);
    socket.cut(4504);
    await expect(waiting).rejects.toMatchObject({ kind: 'closed', message: 'The credential was revoked.' });
    await expect(server.client.query('x', {})).rejects.toMatchObject({ kind: 'closed' });
    expect(server.clock.pending).toBe(0);
  });

  test('[client] args that have no form on the wire reject with the catalogue entry and are not sent', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    await expect(server.client.send(CHAT, { text: 'nul \0' })).rejects.toMatchObject({ code: 'bad_text' });
    await expect(server.client.send(CHAT, { text: 'x'.repeat(300_000) })).rejects.toMatchObject({
      name: 'CommandError',
    });
    expect(socket.untaken()).toEqual(['ping']);
    server.client.close();
  });

  test('[client] a reply that does not fit the protocol is a clear error', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const answer = server.client.get(CHAT);
    socket.push(replyTo(await taken(socket, 'query'), { chat: 7 }));
    await expect(answer).rejects.toMatchObject({ kind: 'bad_reply', message: expect.stringContaining('chat') });
    server.client.close();
  });

  test('[client] an expired credential in a reply: a fresh one in-band, then the same command again', async () => {
    let fetched = 0;
    const server = new FakeServer({ credential: async () => `token-${++fetched}` });
    const socket = await server.live();
    const answer = server.client.command('chat.rename', { title: 'a' });
    const { request, id } = await taken(socket, 'command');
    socket.push({ op: 'reply', request, result: null, error: errorBody('token_expired') });
    await server.clock.advance(10);
    const auth = socket.take('auth');
    expect(auth.credential).toBe('token-2');
    socket.push(replyTo(auth, { expires_at: server.clock.nowMs() + 3_600_000 }));
    await server.clock.advance(1_000);
    const again = socket.take('command');
    expect(again.id).toBe(id);
    socket.push(replyTo(again, 'done'));
    await expect(answer).resolves.toBe('done');
    // Whatever replies say, the source of credentials is not asked without end.
    for (let n = 0; n < 3; n++) {
      void server.client.command('chat.rename', { title: 'b' }).catch(() => {});
      const next = await taken(socket, 'command');
      socket.push({ op: 'reply', request: next.request, result: null, error: errorBody('token_expired') });
    }
    await server.clock.advance(3_000);
    expect(fetched).toBe(2);
    server.client.close();
  });
});

function kindOf(error: unknown): unknown {
  return error instanceof ClientError ? error.kind : error;
}

type Command = ClientFrame & { readonly op: 'command' };

function commands(socket: FakeSocket): Command[] {
  return socket.frames.filter((frame) => frame.op === 'command');
}

async function taken<Op extends 'command' | 'query'>(
  socket: FakeSocket,
  op: Op,
): Promise<ClientFrame & { readonly op: Op }> {
  await Promise.resolve();
  return socket.take(op);
}

function replyTo(frame: { readonly request: number } | undefined, result: unknown): never {
  return { op: 'reply', request: frame?.request, result, error: null } as never;
}

/** Answers every try with the error until none comes any more. */
async function answerAll(server: FakeServer, socket: FakeSocket, code: ErrorCode, ids: Set<string>): Promise<void> {
  for (let tries = 0; ; tries++) {
    await server.clock.advance(tries === 0 ? 0 : 10_000);
    socket.push({ op: 'heartbeat', nowMs: server.clock.nowMs(), positions: [] });
    if (!socket.untaken().includes('command')) {
      expect(tries).toBe(CLIENT_LIMITS.requestTriesMax);
      return;
    }
    const { request, id } = socket.take('command');
    ids.add(id);
    socket.push({ op: 'reply', request, result: null, error: errorBody(code) });
  }
}
