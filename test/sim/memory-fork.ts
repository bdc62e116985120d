// What the in-memory store does to copy a chat up to a message.

import type { CommandRow, ForkReply, ForkResult, NewFork } from '../../actors/ports.ts';
import type { Chat } from '../../protocol/content.ts';
import type { Epoch } from '../../protocol/ids.ts';
import { commandKey, type ChatRow, type MemoryTables, type StoredMessage } from './memory-tables.ts';
import { emptyRow, feed, saveCommand } from './memory-writes.ts';

export type Forking = {
  readonly fork: NewFork;
  readonly command: Omit<CommandRow, 'reply'>;
  readonly reply: ForkReply;
};

export function fork(tables: MemoryTables, { fork: wanted, command, reply }: Forking): ForkResult {
  const known = tables.commands.get(commandKey(command.principal, null, command.id));
  if (known !== undefined) return { outcome: 'repeated', row: known.row };
  const { id, owner, createdAtMs } = wanted;
  if (tables.chats.has(id)) return { outcome: 'already_applied' };
  const source = tables.chats.get(wanted.source);
  if (source?.chat.owner !== owner) return { outcome: 'not_found' };
  const last = cutOf(source, wanted.number);
  if (typeof last === 'string') return { outcome: last };
  const copied = source.messages.filter(({ number, left }) => number <= last && left === undefined);
  const messages = copied.map((message, i) => copyOf(message, i + 1));
  const reasoningFrom = 1 + copied.filter(({ number }) => number < source.reasoningFrom).length;
  const { chat, systemPrompt, fixedSystem, promptModel, titleSource, clientTools, toolsHash } = source;
  const made: Chat = {
    ...chat,
    id,
    parent: null,
    root: id,
    title: wanted.title ?? chat.title,
    status: 'waiting',
    archived: false,
    last_error: null,
    last_turn: null,
    created_at: createdAtMs,
    updated_at: createdAtMs,
  };
  const encoded = reply(made, messages.length);
  const numbers = { nextNumber: messages.length + 1, readNumber: messages.length };
  const kept = { systemPrompt, fixedSystem, promptModel, reasoningFrom, clientTools, toolsHash };
  const named = wanted.title === null ? titleSource : ('user' as const);
  const row: ChatRow = {
    ...emptyRow(),
    ...kept,
    ...numbers,
    chat: made,
    createCommand: command.id,
    titleSource: named,
    messages,
  };
  tables.chats.set(id, row);
  saveCommand(tables, null, { ...command, reply: encoded });
  feed(tables, row);
  return { outcome: 'created', reply: encoded };
}

function cutOf({ messages }: ChatRow, number: number): number | 'not_found' | 'unsettled' {
  const there = messages.filter(({ left }) => left === undefined);
  const named = there.find((message) => message.number === number && message.visibility !== 'model');
  if (named === undefined) return 'not_found';
  const isOfStep = named.role !== 'user' && named.turn !== null && named.step !== null;
  const step = there.filter(
    ({ role, turn, step: of }) => isOfStep && role !== 'user' && turn === named.turn && of === named.step,
  );
  const parts = step.flatMap((message) => message.parts);
  const settled = parts.flatMap((part) => (part.type === 'tool_result' ? [part.call] : []));
  if (parts.some((part) => part.type === 'tool_call' && !settled.includes(part.call))) return 'unsettled';
  return Math.max(number, ...step.map((message) => message.number));
}

function copyOf(message: StoredMessage, number: number): StoredMessage {
  const costMicros = message.costMicros === null ? null : 0n;
  return { ...message, number, position: { epoch: 0 as Epoch, seq: number }, costMicros };
}
