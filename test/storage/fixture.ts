// What the tests of the store share: ids, chats, intents, and the two databases behind one handle.

import { randomBytes } from 'node:crypto';

import type postgres from 'postgres';

import type {
  ActivationResult,
  ChatRecord,
  ChatStore,
  CommandRow,
  CommitIntent,
  NewMessage,
  Read,
} from '../../actors/ports.ts';
import { assert } from '../../protocol/assert.ts';
import {
  uuidV7,
  type AttemptId,
  type ChatId,
  type CommandId,
  type Epoch,
  type NodeId,
  type OwnerId,
  type TurnId,
} from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { StoreLimits } from '../../storage/limits.ts';
import type { OpenStore } from '../../storage/store.ts';

/** A database that the contract runs on. */
export type DatabaseHandle = {
  readonly kind: 'postgres' | 'embedded';
  /** The one store of the file, registered as `node`. */
  readonly opened: OpenStore;
  readonly node: NodeId;
  /** Past the store, for what only a test does. */
  readonly raw: postgres.Sql;
  /** Another store on the same database: on Postgres only. */
  open(limits?: Partial<StoreLimits>): Promise<OpenStore>;
};

export const NOW_MS = Date.UTC(2026, 0, 15, 12, 0, 0);

export function newId<T extends string>(atMs = NOW_MS): T {
  return uuidV7<T>(atMs, randomBytes(10));
}

export function newOwner(): OwnerId {
  return `owner-${randomBytes(6).toString('hex')}` as OwnerId;
}

export function epochOf(number: number): Epoch {
  return number as Epoch;
}

export function at(epoch: number, seq: number): Position {
  return { epoch: epochOf(epoch), seq };
}

export type ChatOptions = {
  readonly owner?: OwnerId;
  readonly parent?: ChatId | null;
  readonly title?: string | null;
  readonly atMs?: number;
};

/** A chat of its own for a test. */
export async function createChat(
  store: ChatStore,
  options: ChatOptions = {},
): Promise<{ chat: ChatId; owner: OwnerId }> {
  const owner = options.owner ?? newOwner();
  const chat = newId<ChatId>();
  const atMs = options.atMs ?? NOW_MS;
  const result = await store.create(
    {
      id: chat,
      owner,
      parent: options.parent ?? null,
      title: options.title ?? null,
      model: 'scripted',
      systemPrompt: null,
      labels: {},
      background: false,
      createdAtMs: atMs,
    },
    { principal: owner, id: newId<CommandId>(), name: 'chats.create', argsHash: randomBytes(32), createdAtMs: atMs },
    () => ({ ok: true, body: new Uint8Array([1]) }),
  );
  assert(result.outcome === 'created', `the chat is created: ${JSON.stringify(result)}`);
  return { chat, owner };
}

export async function takeChat(store: ChatStore, chat: ChatId, commandsMax = 50): Promise<ChatRecord> {
  const [result] = await store.activate([{ chat, viewer: null }], commandsMax);
  return activatedRecord(result);
}

export function activatedRecord(result: ActivationResult | undefined): ChatRecord {
  assert(result?.outcome === 'activated', `the chat is activated: ${JSON.stringify(result)}`);
  return result.record;
}

/** A chat that this node has, at epoch 1. */
export async function createTaken(
  store: ChatStore,
  options: ChatOptions = {},
): Promise<{ chat: ChatId; owner: OwnerId }> {
  const made = await createChat(store, options);
  await takeChat(store, made.chat);
  return made;
}

export function intentOf(chat: ChatId, epoch: number, parts: Partial<CommitIntent> = {}): CommitIntent {
  return {
    chat,
    epoch: epochOf(epoch),
    atMs: NOW_MS,
    requireUnarchived: false,
    patch: {},
    listed: false,
    fed: false,
    messages: [],
    enqueue: [],
    enqueueFirst: [],
    dequeue: [],
    commands: [],
    attemptsOpened: [],
    attemptsReferenced: [],
    attemptsSettled: [],
    journal: [],
    clearJournal: false,
    retract: null,
    ...parts,
  };
}

export function messageOf(number: number, position: Position, parts: Partial<NewMessage> = {}): NewMessage {
  return {
    number,
    id: newId<CommandId>(),
    position,
    role: 'user',
    visibility: 'both',
    parts: [{ type: 'text', text: `message ${number}` }],
    provider: null,
    createdAtMs: NOW_MS + number,
    createdBy: null,
    model: null,
    turn: null,
    step: null,
    interrupted: false,
    usage: null,
    costMicros: null,
    ...parts,
  };
}

export function commandOf(principal: OwnerId, parts: Partial<CommandRow> = {}): CommandRow {
  return {
    principal,
    id: newId<CommandId>(),
    name: 'chat.send',
    argsHash: randomBytes(32),
    reply: { ok: true, body: randomBytes(16) },
    createdAtMs: NOW_MS,
    ...parts,
  };
}

export function attemptOf(turn: TurnId, attempt = 1): CommitIntent['attemptsOpened'][number] {
  return { id: newId<AttemptId>(), turn, step: 1, attempt, provider: 'scripted', model: 'm', startedAtMs: NOW_MS };
}

export function valueOf<T>(read: Read<T>): T {
  assert(read.outcome === 'read', `the database can be read: ${JSON.stringify(read)}`);
  return read.value;
}

const UNTIL_MS = 10_000;

/** Asks again and again until it is so; throws when it does not become so. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + UNTIL_MS;
  for (;;) {
    if (await condition()) return;
    assert(performance.now() < deadline, 'what is waited for comes true in time');
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Marks another incarnation as alive, and as the owner of `chat`. */
export async function giveToOtherNode(raw: postgres.Sql, chat: ChatId): Promise<NodeId> {
  const node = newId<NodeId>();
  await raw`insert into nodes (id, registered_at, renewed_at, expires_at)
    values (${node}, now(), now(), now() + interval '1 hour')`;
  await raw`update chats set owner_node = ${node} where id = ${chat}`;
  return node;
}
