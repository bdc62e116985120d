// What must hold of slow readers at every step (P9): what a node holds for one is within its budget, and nobody else waits.

import type { Clock } from '../../actors/ports.ts';
import type { SessionLimits } from '../../gateway/limits.ts';
import { decodeServerMessage, encodeBody } from '../../protocol/codec.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { formatPosition, type Position } from '../../protocol/position.ts';
import type { Sent } from './network.ts';

/** Of a frame beside its body, and of frames that are no replies. */
const FRAME_BYTES = 512;
/** An event goes out in the same turn of the loop, which takes no simulated time. */
const WAIT_MS_MAX = 1;

export class SlowReaderAudit {
  readonly #clock: Clock;
  readonly #fail: (what: string) => void;
  readonly #appendedMs = new Map<string, number>();
  /** When the client of a connection was told last that it follows a chat. */
  readonly #attachedMs = new WeakMap<object, Map<ChatId, number>>();
  /** The largest message that was sent, or reply that waits to be. */
  #largestBytes = FRAME_BYTES;

  /** `clock`: without jumps and sleep. */
  constructor(clock: Clock, fail: (what: string) => void) {
    this.#clock = clock;
    this.#fail = fail;
  }

  onAppend(chat: ChatId, position: Position): void {
    this.#appendedMs.set(`${chat} ${formatPosition(position)}`, this.#clock.nowMs());
  }

  /** A host has answered with this. */
  onReply(body: unknown): void {
    const bytes = body instanceof Uint8Array ? body.length : encodeBody(body).length;
    this.#largestBytes = Math.max(this.#largestBytes, bytes + FRAME_BYTES);
  }

  /** A node has sent a message: to a client that nothing holds up every event goes at once. */
  onSent({ link, name, bytes, sinceMs }: Sent): void {
    this.#largestBytes = Math.max(this.#largestBytes, bytes.length);
    const nowMs = this.#clock.nowMs();
    const attached = this.#attachedMs.get(link) ?? new Map<ChatId, number>();
    this.#attachedMs.set(link, attached);
    for (const frame of decodeServerMessage(bytes)) {
      if (frame.op === 'attached') attached.set(frame.chat, nowMs);
      if (frame.op !== 'event') continue;
      const { chat, position } = frame;
      const appendedMs = this.#appendedMs.get(`${chat} ${formatPosition(position)}`) ?? nowMs;
      const wasOpen = appendedMs > sinceMs && appendedMs > (attached.get(chat) ?? Infinity);
      if (wasOpen && nowMs - appendedMs > WAIT_MS_MAX) {
        this.#fail(`${name} waited ${nowMs - appendedMs} ms for ${formatPosition(position)} of ${chat}`);
      }
    }
  }

  /** `heldBytes` by the session's own account, `bufferedBytes` by that of its connection. */
  checkHeld(limits: SessionLimits, held: { readonly heldBytes: number; readonly bufferedBytes: number }): void {
    const { outboxSoftBytes, outboxHardBytes } = limits;
    const bufferedMax = outboxSoftBytes + this.#largestBytes;
    if (held.bufferedBytes > bufferedMax) {
      this.#fail(`${held.bufferedBytes} bytes are buffered for one reader, at most ${bufferedMax} may be`);
    }
    // A frame that finds nothing waiting is taken, whatever its size.
    const heldMax = Math.max(outboxHardBytes, bufferedMax + this.#largestBytes);
    if (held.heldBytes > heldMax) {
      this.#fail(`a session holds ${held.heldBytes} bytes for its reader, at most ${heldMax} may be`);
    }
  }
}
