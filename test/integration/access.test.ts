// Keys, tokens and chats that are not one's own, over the wire of a node as people start it; and that what was stored is
// there after every kind of end.

import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { must } from '../../protocol/assert.ts';
import { chatArgs } from '../../protocol/client/calls.ts';
import { CommandError, type Chat, type ChatId, type ParleyClient, type TurnId } from '../../protocol/client/index.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';

const clients = new Clients();
let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start({ env: { PARLEY_TOKEN_GRACE_MS: '0' } });
});

afterEach(() => clients.closeAll());

afterAll(() => node.stop());

async function visitor(subject: string): Promise<ParleyClient> {
  return clients.connect(node.url, await node.tokenFor(subject));
}

describe('[misuse] credentials', () => {
  test.each([
    ['an expired token', () => node.tokenFor('ann', { expiresAtMs: Date.now() - 60_000 }), CLOSE_CODES.token_expired],
    ['a token of another node', () => Promise.resolve(`${node.token.slice(0, -4)}AAAA`), CLOSE_CODES.unauthorized],
    ['no token at all', () => Promise.resolve('hello'), CLOSE_CODES.unauthorized],
  ])('[misuse] %s: closed with a code that says so', async (_, token, code) => {
    const socket = await SocketClient.open(node.url);
    socket.send({ op: 'hello', version: 1, credential: await token(), client: 'test' });
    expect((await socket.closed).code).toBe(code);
    expect(socket.frames.map(({ op }) => op)).toEqual(['bye']);
  });

  test('[misuse] a token that ends on the open connection: closed, and a fresh one finds everything', async () => {
    // A whole second, as tokens have it, that lies ahead far enough to say hello.
    const expiresAtMs = (Math.floor(Date.now() / 1000) + 3) * 1000;
    const socket = await SocketClient.live(node.url, await node.tokenFor('brief', { expiresAtMs }));
    const kept = await (await visitor('brief')).createChat({ title: 'kept' });
    const { code } = await socket.closed;
    expect(code).toBe(CLOSE_CODES.token_expired);
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
    expect((await (await visitor('brief')).list()).chats.map(({ id }) => id)).toEqual([kept.id]);
  });

  test('[misuse] a client with a source of tokens renews them in time and is never closed', async () => {
    let fetched = 0;
    const client = clients.make(node.url, () => {
      fetched += 1;
      // The first one is over before the client can have renewed it in peace; what comes then is good.
      return node.tokenFor('renewing', { expiresAtMs: Date.now() + (fetched === 1 ? -60_000 : 60_000) });
    });
    await client.ready();
    expect(fetched).toBe(2);
    await expect(client.createChat()).resolves.toMatchObject({ owner: 'renewing' });
  });

  test('[misuse] a wrong key of the provider: an error in the chat that says whose, and the key is nowhere', async () => {
    const fake = await startFakeAnthropic({ apiKey: 'the right one' });
    onTestFinished(() => fake.stop());
    const key = 'sk-ant-wrong-0123456789';
    const poor = await NodeProcess.start({ env: { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: fake.url } });
    onTestFinished(() => poor.stop());
    const client = await clients.connect(poor.url, poor.token);
    const chat = client.chat((await client.createChat()).id);
    chat.attach();
    await chat.send('hello');
    const { chat: meta } = await chat.until(({ lastTurn }) => lastTurn !== null);
    expect(meta).toMatchObject({ status: 'error', last_error: { code: 'model_unauthorized', retry: 'never' } });
    expect(meta?.last_error?.message).toMatch(/key of the server/);
    expect(JSON.stringify(meta) + poor.stdout + poor.stderr).not.toContain(key);
  });
});

describe('[misuse] chats of others', () => {
  test('[misuse] a foreign chat looks like one that does not exist, whatever is asked', async () => {
    const owner = await visitor('owner');
    // One that nobody has opened, and one whose actor is at work.
    const [closed, open] = await Promise.all(['closed', 'open'].map((title) => owner.createChat({ title })));
    const handle = owner.chat(must(open, 'two were made').id);
    handle.attach();
    await handle.until(({ position }) => position !== null);
    const foreign = [must(closed, 'two were made').id, handle.id];
    const stranger = await visitor('stranger');
    const nowhere = randomUUID() as string as ChatId;
    const asks: readonly ((chat: ChatId) => Promise<unknown>)[] = [
      (chat) => stranger.send(chat, { text: 'hi' }),
      (chat) => stranger.stop(chat, randomUUID() as string as TurnId),
      (chat) => stranger.rename(chat, 'mine now'),
      (chat) => stranger.setLabels(chat, { a: 'b' }),
      (chat) => stranger.archive(chat),
      (chat) => stranger.unarchive(chat),
      (chat) => stranger.createChat({ parent: chat }),
      (chat) => stranger.get(chat),
      (chat) => stranger.messages(chat),
      (chat) => stranger.query('messages.part', chatArgs(chat, { number: 1, part: 0, offset: 0 })),
    ];
    for (const ask of asks) {
      const answers = await Promise.all(
        [...foreign, nowhere].map((chat) => ask(chat).catch((error: unknown) => error)),
      );
      const bodies = answers.map((answer) => (answer instanceof CommandError ? answer.body : answer));
      expect(bodies).toEqual(bodies.map(() => bodies.at(-1)));
      expect(bodies[0]).toMatchObject({ code: 'not_found' });
    }
    for (const id of foreign) expect(await owner.get(id)).toMatchObject({ labels: {}, archived: false });
    expect(handle.state.messages).toEqual([]);
  });

  test('[misuse] a list with foreign chats in between is full: 25 of 25, then the rest', async () => {
    const [ann, ben] = [await visitor('ann'), await visitor('ben')];
    const own: ChatId[] = [];
    for (let n = 0; n < 40; n++) {
      own.unshift((await ann.createChat({ title: `ann ${n}` })).id);
      await ben.createChat({ title: `ben ${n}` });
      if (n % 3 === 0) await ben.createChat({ title: `ben again ${n}` });
    }
    const first = await ann.list({ limit: 25 });
    expect(first.chats.map(({ id }) => id)).toEqual(own.slice(0, 25));
    const rest = await ann.list({ limit: 25, ...(first.next === null ? {} : { after: first.next }) });
    expect(rest.chats.map(({ id }) => id)).toEqual(own.slice(25));
    expect(rest.next).toBeNull();
    expect((await ann.list({ owner: 'ben' })).chats).toEqual([]);

    const auditor = await clients.connect(node.url, await node.tokenFor('eve', { role: 'auditor' }));
    expect(new Set((await auditor.list({ limit: 50 })).chats.map(({ owner }) => owner))).toEqual(
      new Set(['ann', 'ben']),
    );
    expect((await auditor.list({ owner: 'ann', limit: 25 })).chats).toHaveLength(25);
    const refusal = await auditor.rename(own[0] as ChatId, 'corrected').catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'forbidden' });
  });
});

describe('[P3] what is stored stays', () => {
  test.each([
    ['SIGTERM', async () => void (await node.terminate())],
    ['kill -9', () => node.kill()],
  ])('[P3] after %s and a restart every chat is as it was', async (_, end) => {
    const client = await visitor('keeper');
    const parent = await client.createChat({ title: 'parent', labels: { kind: 'root' } });
    const child = await client.createChat({ title: 'child', parent: parent.id });
    await client.rename(child.id, 'renamed');
    const gone = await client.createChat({ title: 'archived' });
    await client.archive(gone.id);
    const handle = client.chat(parent.id);
    handle.attach();
    await handle.send('/script say="remember me" pace=0');
    await handle.until(({ lastTurn }) => lastTurn !== null);
    const before = [await chatsOf(client), await client.messages(parent.id)];
    await end();
    await node.restart();
    const again = await visitor('keeper');
    expect([await chatsOf(again), await again.messages(parent.id)]).toEqual(before);
    const archived = await again.send(gone.id, { text: 'hello?' }).catch((error: unknown) => error);
    expect(archived).toMatchObject({ code: 'archived' });
  });
});

async function chatsOf(client: ParleyClient): Promise<readonly Chat[]> {
  return (await client.list({ limit: 100 })).chats;
}
