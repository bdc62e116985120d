// Who should own a chat: rendezvous hashing, weighted by load. It says who should; the compare-and-swap in the database
// says who does. Nodes that disagree for a moment cost a detour, never a second writer.

import { createHash } from 'node:crypto';
import type { ChatId, NodeId } from '../../protocol/ids.ts';

export type Candidate = { readonly id: NodeId; readonly load: number };

/**
 * The candidate for the chat; null when there is none. Each candidate draws a number from (chat, node), the same wherever
 * it is drawn; the highest `weight / -ln(draw)` wins, so that candidates win in proportion to their weights and only
 * chats of a candidate that comes or goes move.
 */
export function placeOf(chat: ChatId, candidates: readonly Candidate[]): NodeId | null {
  let best: { readonly id: NodeId; readonly score: number } | null = null;
  const lightest = Math.min(...candidates.map(({ load }) => load));
  for (const { id, load } of candidates) {
    const score = weightOf(load, lightest) / -Math.log(drawOf(chat, id));
    if (best === null || score > best.score || (score === best.score && id < best.id)) best = { id, score };
  }
  return best?.id ?? null;
}

/**
 * From 1 down to a quarter, in quarters: loads change all the time and are not known everywhere at the same moment, and
 * every other weight is another placement. Below some hundred chats a difference means nothing.
 */
function weightOf(load: number, lightest: number): number {
  const surplus = Math.max(0, load - lightest - 200);
  const share = lightest + 200 === 0 ? 1 : (lightest + 200) / (lightest + 200 + surplus);
  return Math.max(1, Math.round(share * 4)) / 4;
}

/** In (0, 1), from 48 bits of SHA-256. */
function drawOf(chat: ChatId, node: NodeId): number {
  const bits = createHash('sha256').update(chat).update(node).digest().readUIntBE(0, 6);
  return (bits + 0.5) / 2 ** 48;
}
