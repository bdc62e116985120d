// 500 commands from two devices that both send each of them, over connections that break and a node that is killed.

import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { pick, seeded } from '../../actors/models/seeded.ts';
import { must } from '../../protocol/assert.ts';
import { chatArgs, newChatArgs, parseChatResult, readResult, sendArgs } from '../../protocol/client/calls.ts';
import { CommandError, type Chat, type ChatId, type Message, type ParleyClient } from '../../protocol/client/index.ts';
import type { Args } from '../../protocol/frames.ts';
import type { CommandId } from '../../protocol/ids.ts';
import { Clients } from '../support/clients.ts';
import { CutProxy } from '../support/cut-proxy.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';
import { type RawReply, ReplyRecorder } from '../support/reply-recorder.ts';

const CHATS = 20;
const COMMANDS = 500;
/** Requests of one device under way. */
const WINDOW = 48;
const CUT_WITHIN_BYTES = 12_000;

type Command = { readonly id: CommandId; readonly name: string; readonly args: Args };

class Device {
  readonly client: ParleyClient;
  readonly recorder = new ReplyRecorder();
  /** What this device was told, for good. */
  readonly final = new Map<CommandId, RawReply>();
  onFinal: () => void = () => {};

  constructor(clients: Clients, url: string, token: string) {
    this.client = clients.make(url, token, this.recorder.webSocket);
  }

  /** Sends all of them, some at a time, until each has its reply. */
  async run(commands: readonly Command[]): Promise<unknown[]> {
    const results: unknown[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < commands.length) {
        const index = next++;
        const { id, name, args } = must(commands[index], 'the index is within the commands');
        results[index] = await this.client.command(name, args, { id }).catch((error: unknown) => {
          if (!(error instanceof CommandError) || error.body.retry !== 'never') throw error;
          return error.code;
        });
        this.final.set(id, must(this.recorder.replies.get(id), 'what resolved has a reply'));
        this.onFinal();
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, worker));
    return results;
  }
}

describe.each(['embedded database', 'Postgres'])('500 commands sent twice each, %s', (kind) => {
  const clients = new Clients();
  const proxies: CutProxy[] = [];
  let database: { url: string; drop(): Promise<void> } | null = null;
  let node: NodeProcess;

  beforeAll(async () => {
    if (kind === 'Postgres') database = await createDatabase(inject('postgresUrl'), `integration_p3_${process.pid}`);
    // What is tried here is that nothing is done twice, not how floods are answered.
    const limits = {
      PARLEY_COMMANDS_PER_SECOND: '100000',
      PARLEY_COMMANDS_BURST: '100000',
      PARLEY_OWNER_COMMANDS_PER_SECOND: '100000',
      PARLEY_OWNER_COMMANDS_BURST: '100000',
    };
    node = await NodeProcess.start({ env: database === null ? limits : { ...limits, DATABASE_URL: database.url } });
    for (const seed of [1, 2]) proxies.push(await CutProxy.start({ port: node.port, seed }));
  });

  afterAll(async () => {
    clients.closeAll();
    for (const proxy of proxies) await proxy.stop();
    await node.stop();
    await database?.drop();
  });

  test('[P3] each takes effect once, what was acknowledged is kept, and a retry gets the same bytes', async () => {
    const devices = proxies.map((proxy) => new Device(clients, proxy.url, node.token));
    const [phone, laptop] = devices as [Device, Device];
    await Promise.all(devices.map(({ client }) => client.ready()));
    for (const proxy of proxies) {
      proxy.onCut = () => proxy.cutWithin(CUT_WITHIN_BYTES);
      proxy.onCut();
    }

    const creates = creations(phone.client);
    const [created] = await Promise.all([phone.run(creates), laptop.run(creates.toReversed())]);
    const chats = created.map((result) => readResult(result, parseChatResult).id);
    expect(new Set(chats).size).toBe(CHATS);

    const commands = mixture(phone.client, chats);
    const killed = killAtHalf(phone, async () => {
      await node.kill();
      const acknowledged = [...phone.final, ...laptop.final];
      if (database !== null) await expectStored(database.url, acknowledged);
      await node.restart();
      return acknowledged.length;
    });
    await Promise.all([phone.run(commands), laptop.run(shuffled(commands, 3))]);
    const acknowledgedAtKill = await killed;
    for (const proxy of proxies) proxy.onCut = () => {};

    const everything = [...creates, ...commands];
    expect(everything).toHaveLength(COMMANDS);
    expect(repliesOf(laptop, everything)).toEqual(repliesOf(phone, everything));
    const before = await settledChats(phone.client, chats);

    // A third time, all of them, over a connection that none of them was sent on.
    const late = new Device(clients, node.url, node.token);
    await late.client.ready();
    await late.run(everything);
    expect(repliesOf(late, everything)).toEqual(repliesOf(phone, everything));
    const after = await settledChats(late.client, chats);
    expect(after).toEqual(before);
    expectOnce(after, commands, phone.final);
    if (database !== null) await expectStored(database.url, [...phone.final]);

    const sent = devices.map(({ recorder }) => [...recorder.sent.values()].reduce((sum, times) => sum + times, 0));
    const cuts = proxies.map((proxy) => proxy.cuts);
    const refused = [...phone.final.values()].filter(({ ok }) => !ok).length;
    console.info(JSON.stringify({ kind, sent, cuts, acknowledgedAtKill, refused }));
    expect(Math.min(...cuts)).toBeGreaterThan(3);
    expect(acknowledgedAtKill).toBeGreaterThan(CHATS * 2);
  });
});

// ---------------------------------------------------------------------------------------------------- commands

function creations(client: ParleyClient): readonly Command[] {
  return Array.from({ length: CHATS }, (_, n) => {
    return { id: client.newCommandId(), name: 'chats.create', args: newChatArgs({ title: `chat ${n}` }) };
  });
}

/** Sends, renames and labels, some of which the server refuses: a refusal is a reply like any other. */
function mixture(client: ParleyClient, chats: readonly ChatId[]): readonly Command[] {
  const fraction = seeded(7);
  return Array.from({ length: COMMANDS - CHATS }, (_, n) => {
    const chat = pick(chats as [ChatId, ...ChatId[]], fraction);
    const id = client.newCommandId();
    const draw = fraction();
    if (draw < 0.5) return { id, name: 'chat.send', args: sendArgs(chat, { text: `/script say="ok ${n}" pace=0` }) };
    if (draw < 0.75) return { id, name: 'chat.rename', args: chatArgs(chat, { title: `title ${n}` }) };
    if (draw < 0.95) return { id, name: 'chat.set_labels', args: chatArgs(chat, { labels: { n: String(n) } }) };
    return { id, name: 'chat.rename', args: chatArgs(chat, { title: 'x'.repeat(500) }) };
  });
}

function shuffled(commands: readonly Command[], seed: number): readonly Command[] {
  const fraction = seeded(seed);
  return commands
    .map((command) => ({ command, at: fraction() }))
    .sort((a, b) => a.at - b.at)
    .map(({ command }) => command);
}

function killAtHalf(device: Device, kill: () => Promise<number>): Promise<number> {
  return new Promise((resolve, reject) => {
    device.onFinal = () => {
      if (device.final.size < COMMANDS / 2) return;
      device.onFinal = () => {};
      kill().then(resolve, reject);
    };
  });
}

// ------------------------------------------------------------------------------------------------- what there is

type Settled = { readonly chat: Chat; readonly messages: readonly Message[] };

/** Every chat with all its messages, once nothing runs in it any more. */
async function settledChats(client: ParleyClient, chats: readonly ChatId[]): Promise<readonly Settled[]> {
  const settled: Settled[] = [];
  for (const id of chats) {
    const handle = client.chat(id);
    handle.attach();
    await handle.until(({ chat, turn, queue }) => chat?.status === 'waiting' && turn === null && queue.length === 0);
    handle.detach();
    const { messages, hasMore } = await client.messages(id, { limit: 200 });
    expect(hasMore).toBe(false);
    settled.push({ chat: await client.get(id), messages });
  }
  return settled;
}

function repliesOf(device: Device, commands: readonly Command[]): readonly (RawReply | undefined)[] {
  return commands.map(({ id }) => device.final.get(id));
}

/** Every accepted message is there once and was answered once, refused ones are not there, and no command came twice. */
function expectOnce(
  settled: readonly Settled[],
  commands: readonly Command[],
  replies: ReadonlyMap<CommandId, RawReply>,
): void {
  const accepted = commands.filter(({ id, name }) => name === 'chat.send' && replies.get(id)?.ok === true);
  const asked = settled.flatMap(({ messages }) => messages.filter(({ role }) => role === 'user'));
  expect(asked.map(({ id }) => id).sort()).toEqual(accepted.map(({ id }) => id as string).sort());
  for (const { messages } of settled) {
    expect(messages.map(({ number }) => number)).toEqual(messages.map((_, index) => index + 1));
  }
}

/** The database itself: the row of each acknowledged command, with the very bytes of its reply. */
async function expectStored(url: string, acknowledged: readonly (readonly [CommandId, RawReply])[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    const rows = await sql<{ id: CommandId; ok: boolean; body: string }[]>`
      select id::text as id, ok, encode(body, 'hex') as body from commands`;
    const stored = new Map(rows.map(({ id, ok, body }) => [id, { ok, body }]));
    expect(stored.size).toBe(rows.length);
    for (const [id, reply] of acknowledged) expect(stored.get(id), id).toEqual(reply);
    const [doubled] = await sql`select count(*)::integer as n from (
      select from messages group by chat, id having count(*) > 1) d`;
    expect(doubled?.['n']).toBe(0);
    const [both] = await sql`select count(*)::integer as n from messages join queued_messages using (chat, id)`;
    expect(both?.['n']).toBe(0);
  } finally {
    await sql.end();
  }
}
