// The end of a recorded run: every chat is asked once more, comes to rest, and is written down as somebody new sees it.

import type { ChatHandle, ChatState, ParleyClient } from '../../protocol/client/index.ts';
import type { Message } from '../../protocol/content.ts';
import type { ChatId, TurnId } from '../../protocol/ids.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { ANSWER_MAX_MS } from '../check/answers.ts';
import { comparedState } from '../check/compare.ts';
import type { Device } from './device.ts';
import type { Recorder } from './recorder.ts';
import { within } from './within.ts';

export type FinaleOptions = {
  readonly recorder: Recorder;
  /** Somebody new, who has seen nothing. */
  readonly fresh: ParleyClient;
  /** What the model says to a prompt when nobody stops it; null where that is not known. */
  readonly said: (prompt: string) => string | null;
};

const PROBE = '/script say="here" pace=0';
const PAGE = 200;
/** Beyond the time to answer. */
export const REST_MAX_MS = 2 * ANSWER_MAX_MS;
/** What was queued before may be said behind the answer; what does not come to rest even then is compared as it is. */
const QUEUE_MAX_MS = 8 * ANSWER_MAX_MS;

/** Asks every chat now; resolves when all have answered, or when the time that a chat has for it is well over. */
export async function askAll(chats: ReadonlyMap<ChatId, readonly Device[]>, options: FinaleOptions): Promise<void> {
  options.recorder.add({ type: 'calm', at: Date.now() });
  const asked = [...chats.values()].map(async ([device]) => {
    if (device === undefined) return;
    const { command } = await device.send(PROBE, 'interrupt');
    await answered(device, command.id as string as TurnId);
  });
  await within(REST_MAX_MS, Promise.allSettled(asked));
}

/** Resolves when the turn is over. What was queued in front of it is stopped as it begins: it is not what was asked. */
async function answered(device: Device, turn: TurnId): Promise<void> {
  const stopped = new Set<TurnId>();
  const isInFront = (one: TurnId | undefined): one is TurnId => one !== undefined && one !== turn && !stopped.has(one);
  for (;;) {
    const { lastTurn, turn: live } = await device.handle.until(
      (state) => state.lastTurn?.turn === turn || isInFront(state.turn?.turn),
    );
    if (lastTurn?.turn === turn) return;
    if (!isInFront(live?.turn)) continue;
    stopped.add(live.turn);
    await device.stop(live.turn);
  }
}

/** Writes one chat down: what its devices show, what a fresh attach shows, and all of its messages. */
export async function recordChat(chat: ChatId, devices: readonly Device[], options: FinaleOptions): Promise<void> {
  const { recorder, fresh } = options;
  const handle = fresh.chat(chat);
  handle.attach();
  const agreed = Promise.all([handle, ...devices.map((device) => device.handle)].map((one) => one.until(atRest)))
    .then(() => agree(handle, devices))
    .catch(() => undefined);
  await within(QUEUE_MAX_MS, agreed);
  for (const device of devices) device.recordEnd();
  const state = comparedState(handle.state);
  recorder.add({ type: 'fresh', at: Date.now(), chat, state });
  await recordMessages(chat, handle.state, options);
  handle.detach();
}

function atRest({ position, turn, queue }: ChatState): boolean {
  return position !== null && turn === null && queue.length === 0;
}

/** Waits until all stand where the newest of them stands. */
async function agree(fresh: ChatHandle, devices: readonly Device[]): Promise<void> {
  const handles = [fresh, ...devices.map(({ handle }) => handle)];
  for (;;) {
    const newest = handles.reduce<Position | null>((top, { state: { position } }) => later(top, position), null);
    if (newest === null) return;
    const behind = handles.filter(({ state: { position } }) => later(position, newest) !== position);
    if (behind.length === 0) return;
    await Promise.all(behind.map((handle) => handle.reached(newest)));
  }
}

/** The later one; the first of two that are the same. */
function later(a: Position | null, b: Position | null): Position | null {
  if (a === null) return b;
  return b === null || comparePositions(a, b) >= 0 ? a : b;
}

async function recordMessages(chat: ChatId, { queue }: ChatState, options: FinaleOptions): Promise<void> {
  const { recorder, fresh, said } = options;
  for (let after = 0, last = false; !last;) {
    const { messages, hasMore } = await fresh.messages(chat, { after, limit: PAGE });
    for (const message of messages) {
      const text = message.role === 'user' ? said(textOf(message)) : null;
      if (text !== null) recorder.add({ type: 'said', chat, turn: message.id as TurnId, text });
    }
    after = messages.at(-1)?.number ?? after;
    last = !hasMore || messages.length === 0;
    recorder.add({ type: 'page', chat, messages, last, queue });
  }
}

function textOf({ parts }: Message): string {
  return parts.map((part) => ('text' in part ? part.text : '')).join('\n');
}
