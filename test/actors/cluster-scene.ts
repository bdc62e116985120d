// A chat that streams across nodes, and what is done to its messages on the way.

import { must } from '../../protocol/assert.ts';
import { decodeBody } from '../../protocol/codec.ts';
import { asArray } from '../../protocol/fields.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { ADA, ClusterStage, type Reader, type StageNode, type StageOptions } from './cluster-stage.ts';

export type Scene = {
  readonly stage: ClusterStage;
  readonly chat: ChatId;
  readonly owner: StageNode;
  readonly other: StageNode;
  /** At the owner, and at the other node. */
  readonly near: Reader;
  readonly far: Reader;
};

/** A chat whose model has said "a", followed at its owner and at another node. */
export async function streaming(nodes = 2, options: StageOptions = {}): Promise<Scene> {
  const stage = await ClusterStage.of(nodes, options);
  const chat = await stage.create();
  await stage.until(stage.node(0).command('chat.send', stage.sendArgs(chat, 'hello'), stage.newId()));
  await stage.settle();
  const { owner, other } = stage.sides(chat);
  const near = await stage.until(owner.follow(chat));
  const far = await stage.until(other.follow(chat));
  stage.sink.blockStart(0, 'text');
  stage.sink.blockDelta(0, 'a');
  await stage.settle();
  return { stage, chat, owner, other, near, far };
}

/** Kinds of frames by their numbers on the bus: `frames.ts`. */
export const FOLLOW = 5;
export const UNFOLLOW = 6;
export const TAKEN = 12;
export const TOLD = 13;
const MAC_BYTES = 32;

export function kindOf(bytes: Uint8Array): unknown {
  const [, , kind] = asArray(decodeBody(bytes.subarray(MAC_BYTES)), 'frame');
  return kind;
}

/** Loses the first `count` frames of that kind; gives how many were. */
export function loses(stage: ClusterStage, kind: number, count: number): () => number {
  let lost = 0;
  stage.hub.onTheWay = (_subject, bytes) => {
    if (kindOf(bytes) !== kind || lost >= count) return true;
    lost += 1;
    return false;
  };
  return () => lost;
}

export function detach({ attached }: Reader): void {
  if (attached !== null && 'detach' in attached) attached.detach();
}

/** Ends the turn of the chat, so that it may be given up. */
export async function comesToRest({ stage, chat, owner }: Scene): Promise<void> {
  const turn = must(stage.tables.chats.get(chat)?.turn, 'it runs').id;
  await stage.until(owner.command('chat.stop', { chat: uuidToBytes(chat), turn: uuidToBytes(turn) }, stage.newId()));
  await stage.settle();
}

/** Another chat of the same owner node, that the other node follows as well: so the link lives without the first one. */
export async function besides({ stage, owner, other }: Scene): Promise<ChatId> {
  const chat = await stage.create();
  await stage.until(owner.host.command(ADA, stage.renameOf(chat)));
  await stage.until(other.follow(chat));
  return chat;
}
