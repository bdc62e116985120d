// `--json`: one value per line for each thing that moves a chat's cursor, in order.
import {
  applyPiece,
  type ChatHandle,
  type ChatState,
  EMPTY_CHAT_STATE,
  type ParleyClient,
  type ServerFrame,
} from '../client/index.ts';
import type { SnapshotHead } from '../frames.ts';
import { printableJson } from './sanitize.ts';

/** Writes the chat's state as it is, then a line for each event and snapshot; the function returned ends it. */
export function writeJsonLines(client: ParleyClient, handle: ChatHandle, write: (line: string) => void): () => void {
  const chat = handle.id;
  const snapshots = new SnapshotLines();
  const first = stateLine(handle);
  if (first !== null) write(`${printableJson(first)}\n`);
  const stops = [
    client.onFrame((frame) => {
      if (frame.op !== 'attached' || frame.chat !== chat) return;
      const line = frame.outcome === 'gone' ? { chat, gone: true } : snapshots.take(frame);
      if (line !== null) write(`${printableJson(line)}\n`);
    }),
    handle.onEvent(({ position: { epoch, seq }, span, event }) => {
      write(`${printableJson({ chat, position: [epoch, seq], span, event })}\n`);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** What is known already, in the form of a snapshot. */
function stateLine({ id, state }: ChatHandle): object | null {
  const { position, chat, messages, queue, turn: live, hasOlder, retracted } = state;
  if (position === null || chat === null) return null;
  const head: SnapshotHead = {
    drop_older: true,
    disowned: false,
    retracted,
    removed: [],
    has_older: hasOlder,
    chat,
    queue,
    live,
  };
  return { chat: id, position: [position.epoch, position.seq], snapshot: { ...head, messages } };
}

/** Puts the pieces of a snapshot together. */
class SnapshotLines {
  #head: SnapshotHead | null = null;
  #state: ChatState = EMPTY_CHAT_STATE;

  /** The line after the last piece, else null. */
  take(frame: ServerFrame & { readonly op: 'attached' }): object | null {
    if (frame.outcome !== 'snapshot') {
      this.#head = null;
      return null;
    }
    const { chat, position, piece } = frame;
    if (piece.head !== null) this.#head = piece.head;
    const applied = applyPiece(piece.head === null ? this.#state : EMPTY_CHAT_STATE, position, piece);
    if (applied.outcome !== 'applied' || this.#head === null) return null;
    this.#state = applied.state;
    if (!piece.last) return null;
    const { messages, turn: live } = applied.state;
    return { chat, position: [position.epoch, position.seq], snapshot: { ...this.#head, messages, live } };
  }
}
