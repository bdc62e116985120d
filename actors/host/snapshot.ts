// A snapshot in pieces: the state of a chat as of one position, cut so that no frame is larger than a reader can take.

import type { Message } from '../../protocol/content.ts';
import type { LiveTurn } from '../../protocol/events.ts';
import type { SnapshotHead, SnapshotPiece } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { sliceUtf8, utf8Length } from '../../protocol/text.ts';
import type { ChatChanges } from '../history-ports.ts';

/** Room for the keys and numbers of a message or a slice beside its text, in bytes. */
const OVERHEAD_BYTES = 512;

/** Gives the pieces one by one, null after the last; each holds at most about `LIMITS.snapshotPieceBytes`. */
export function snapshotPieces(head: SnapshotHead, messages: readonly Message[]): () => SnapshotPiece | null {
  const pieces = cut(head, messages);
  return () => {
    const next = pieces.next();
    return next.done ? null : next.value;
  };
}

/**
 * Of what changed, the newest messages that a snapshot may hold, one at least: it is kept in memory until its reader has
 * pulled it. Whoever misses older ones for that drops what it has and pages for them.
 */
export function newestChanges(changes: ChatChanges): ChatChanges {
  const { messages } = changes;
  let bytes = 0;
  const tooOld = messages.findLastIndex((message, i) => {
    bytes += messageBytes(message);
    return bytes > LIMITS.snapshotBytes && i < messages.length - 1;
  });
  if (tooOld === -1) return changes;
  return { ...changes, dropOlder: true, removed: [], hasOlder: true, messages: messages.slice(tooOld + 1) };
}

function* cut(head: SnapshotHead, messages: readonly Message[]): Generator<SnapshotPiece, void> {
  let first: SnapshotHead | null = { ...head, live: head.live === null ? null : withoutText(head.live) };
  let batch: Message[] = [];
  let live: Slice[] = [];
  let calls: Slice[] = [];
  let bytes = headBytes(head);
  for (const item of items(messages, head.live)) {
    if (bytes + item.bytes > LIMITS.snapshotPieceBytes && batch.length + live.length + calls.length > 0) {
      yield { last: false, head: first, messages: batch, live, calls };
      [first, batch, live, calls, bytes] = [null, [], [], [], 0];
    }
    bytes += item.bytes;
    if ('message' in item) batch.push(item.message);
    else if (item.of === 'block') live.push(item.slice);
    else calls.push(item.slice);
  }
  yield { last: true, head: first, messages: batch, live, calls };
}

type Slice = [number, number, string];
type Item =
  | { readonly bytes: number; readonly message: Message }
  | { readonly bytes: number; readonly of: 'block' | 'call'; readonly slice: Slice };

function* items(messages: readonly Message[], live: LiveTurn | null): Generator<Item, void> {
  for (const message of messages) yield { bytes: messageBytes(message), message };
  for (const block of live?.blocks ?? []) yield* slices('block', block.index, block);
  for (const [place, call] of (live?.calls ?? []).entries()) yield* slices('call', place, call);
}

function* slices(
  of: 'block' | 'call',
  index: number,
  { text, bytes }: { readonly text: string; readonly bytes: number },
): Generator<Item, void> {
  for (let offset = 0; offset < bytes;) {
    const slice = sliceUtf8(text, offset, LIMITS.inlinePartBytes);
    yield { bytes: slice.bytes + OVERHEAD_BYTES, of, slice: [index, slice.offset, slice.text] };
    offset = slice.offset + slice.bytes;
  }
}

function withoutText(live: LiveTurn): LiveTurn {
  return {
    ...live,
    blocks: live.blocks.map((block) => ({ ...block, text: '', bytes: 0 })),
    calls: live.calls.map((call) => ({ ...call, text: '', bytes: 0 })),
  };
}

/** About what the message takes in a frame. */
export function messageBytes(message: Message): number {
  return message.parts.reduce((sum, part) => sum + ('text' in part ? utf8Length(part.text) : 0), OVERHEAD_BYTES);
}

function headBytes(head: SnapshotHead): number {
  const queued = head.queue.flatMap((item) => item.parts.map((part) => part.text));
  const asked = (head.live?.actions ?? []).map((action) => action.args);
  const texts = [...queued, ...asked];
  return texts.reduce((sum, text) => sum + utf8Length(text) + OVERHEAD_BYTES, OVERHEAD_BYTES);
}
