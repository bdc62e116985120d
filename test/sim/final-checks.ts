// What must hold when the faults are over and everything has come to rest.

import type { NewMessage } from '../../actors/ports.ts';
import type { AttemptOpening } from '../../actors/turn-ports.ts';
import type { Chat, ChatState } from '../../protocol/client/index.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { canonical, isSame } from '../../loadtest/check/canonical.ts';
import type { Sent } from './device.ts';
import { summary } from './memory-reads.ts';
import type { ChatRow } from './memory-tables.ts';
import type { World } from './world.ts';

/** No turn runs, every attempt is settled, and what chats were told is done (P10, P12). */
export function isAtRest({ tables }: World): boolean {
  for (const { chat, turn } of tables.chats.values()) {
    if (turn !== null || (chat.status !== 'waiting' && chat.status !== 'error')) return false;
  }
  for (const { settlement } of tables.attempts.values()) if (settlement === null) return false;
  return tables.inbox.size === 0;
}

/** Every device stands where it wants to be and has an answer to everything. */
export function isCaughtUp({ devices }: World): boolean {
  return devices.every(
    ({ isOpen, client, followed }) =>
      !isOpen || (client.pendingRequests === 0 && followed.every((handle) => handle.attachment.status === 'following')),
  );
}

export function checkStorage(world: World): void {
  const { tables, audit } = world;
  for (const row of tables.chats.values()) {
    const id = row.chat.id.slice(0, 8);
    if (row.messages.some(({ number }, i) => number !== i + 1)) audit.fail('P2', `numbers of ${id} have a hole`);
    if (row.messages.length + 1 !== row.nextNumber) audit.fail('P2', `${id} counts its messages wrong`);
    if (row.journal.length > 0) audit.fail('P5', `${id} rests with a journal`);
    if (row.wakeAtMs !== null) audit.fail('P12', `${id} rests with a time to wake up`);
    if ((row.chat.status === 'error') !== (row.chat.last_error !== null)) {
      audit.fail('P12', `${id} has the status ${row.chat.status} and the error ${canonical(row.chat.last_error)}`);
    }
    for (const message of row.messages) checkGenerated(world, row, message);
  }
  for (const sent of world.sent.values()) checkEffect(world, sent);
  checkRuns(world);
}

/** (g): the whole text of a completed attempt, the beginning of any other. */
function checkGenerated({ audit }: World, row: ChatRow, message: NewMessage): void {
  if (message.role !== 'assistant') return;
  const which = `message ${message.number} of ${row.chat.id.slice(0, 8)}`;
  const generated = audit.generated.get(message.id);
  if (generated === undefined) return audit.fail('(g)', `${which} is of no attempt`);
  const said = generated.blocks.map(({ text }) => text).filter((text) => text !== '');
  const kept = message.parts.map(({ text }) => text);
  if (message.interrupted) {
    if (kept.some((text, i) => said[i]?.startsWith(text) !== true)) {
      audit.fail('(g)', `${which} holds ${canonical(kept)}, the model said ${canonical(said)}`);
    }
  } else if (generated.outcome !== 'completed' || !isSame(said, kept)) {
    audit.fail('(g)', `${which} holds ${canonical(kept)}, the model said ${canonical(said)} and ${generated.outcome}`);
  }
}

/**
 * (P10): nothing is paid twice. What a turn was told of an attempt is not bought again from another one while the first
 * could have been taken up: text was shown only once its run was durable, and a durable run is lost only with its turn.
 */
function checkRuns({ tables, audit }: World): void {
  const attempts = [...tables.attempts.values()];
  for (const { opening, settlement, chat } of attempts) {
    if (settlement?.outcome !== 'lost' || !audit.runs.has(`run-${opening.id}`)) continue;
    const isShown = tables.chats.get(chat)?.messages.some(({ id }) => id === opening.id) ?? false;
    const isAgain = attempts.some(({ opening: other }) => other.turn === opening.turn && isAfter(other, opening));
    if (opening.providerRef === undefined ? isShown : isAgain)
      audit.fail('P10', `run-${opening.id} was paid for nothing`);
  }
}

function isAfter(a: AttemptOpening, b: AttemptOpening): boolean {
  return a.step > b.step || (a.step === b.step && a.attempt > b.attempt);
}

/** (c): what was acknowledged took effect once, what was refused never, anything else at most once. */
function checkEffect({ tables, audit, sent: all }: World, sent: Sent): void {
  const { id, name, outcome, chat } = sent;
  const times =
    name === 'chats.create'
      ? [...tables.chats.values()].filter(({ createCommand }) => createCommand === id).length
      : effects(tables.chats.get(chat ?? ('' as ChatId)), id);
  if (times > 1) audit.fail('P3', `${name} ${id} took effect ${times} times`);
  if (name !== 'chat.send' && name !== 'chats.create') return;
  if (outcome === 'acked' && times === 0) audit.fail('P3', `${name} ${id} was acknowledged and left nothing`);
  if (outcome === 'refused' && times > 0) audit.fail('P3', `${name} ${id} was refused and took effect`);
  if (all.get(id) !== sent) audit.fail('P3', `${id} was used twice`);
}

function effects(row: ChatRow | undefined, id: string): number {
  return [...(row?.messages ?? []), ...(row?.queue ?? [])].filter((item) => item.id === id).length;
}

/** (b): whoever followed through all of it shows what somebody shows who comes now. */
export function compareStates(world: World, chat: ChatId, fresh: ChatState): void {
  for (const device of world.devices) {
    for (const handle of device.followed) {
      if (handle.id !== chat) continue;
      const [has, wants] = [comparable(handle.state, fresh), comparable(fresh, handle.state)];
      if (isSame(has, wants)) continue;
      world.audit.fail(
        'P4',
        `${device.options.name} ends with\n  ${canonical(has)}\na fresh one with\n  ${canonical(wants)}`,
      );
    }
  }
}

/** Of the messages only those that both have: how far back each one reaches is its own matter. */
function comparable(state: ChatState, other: ChatState): object {
  const from = Math.max(state.oldest ?? 0, other.oldest ?? 0);
  const { position, chat, queue, turn } = state;
  return { position, chat, queue, turn, messages: state.messages.filter(({ number }) => number >= from) };
}

/** The lists of a person hold each of their chats once, as storage has it. */
export async function checkLists(world: World): Promise<void> {
  for (const { client, options, isOpen } of world.devices) {
    if (options.role !== 'member' || !isOpen) continue;
    const listed = [];
    for (let page = await client.list({ limit: 2 }); ; page = await client.list({ limit: 2, after: page.next })) {
      listed.push(...page.chats);
      if (page.next === null) break;
    }
    const owned = [...world.tables.chats.values()]
      .filter(({ chat }) => chat.owner === options.owner)
      .map((row) => summary(row, options.owner));
    const sorted = (chats: readonly Chat[]): readonly Chat[] => chats.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    if (!isSame(sorted(listed), sorted(owned)))
      world.audit.fail('list', `${options.name} sees another list than there is`);
  }
}
