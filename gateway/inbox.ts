// The frames of a session that wait for their turn. Most wait for nothing; behind a `hello` or an `auth` they wait until
// the credential is verified, which is why there is a limit.

import { decodeClientMessage, type IncomingClientFrame } from '../protocol/codec.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { FrameLimit } from '../protocol/limits.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import type { Rate } from './rate.ts';

/** A frame with its share of the bytes of its message, or the place at which bytes were no frame. */
export type Incoming =
  | { readonly kind: 'frame'; readonly frame: IncomingClientFrame; readonly bytes: number }
  | { readonly kind: 'fault'; readonly error: ErrorBody; readonly limit: FrameLimit | null; readonly bytes: 0 };

export class Inbox {
  #waiting: Incoming[] = [];
  #bytes = 0;
  /** Of the rate of frames. */
  #usedUntilMs = 0;

  /** Decodes a message and takes its frames in; says how many they were. Keeps nothing of `message`. */
  take(message: Uint8Array): number {
    const { frames, error, limit = null } = decodeClientMessage(message);
    const bytes = Math.ceil(message.length / Math.max(1, frames.length));
    for (const frame of frames) this.#waiting.push({ kind: 'frame', frame, bytes });
    this.#bytes += bytes * frames.length;
    if (error !== null) this.#waiting.push({ kind: 'fault', error, limit, bytes: 0 });
    return frames.length;
  }

  /** The limit that is passed by what waits; null: none is. */
  get full(): 'waitingFrames' | 'inboundBytesPerSession' | null {
    if (this.#waiting.length > GATEWAY_LIMITS.waitingFrames) return 'waitingFrames';
    return this.#bytes > GATEWAY_LIMITS.inboundBytesPerSession ? 'inboundBytesPerSession' : null;
  }

  /** Whether the client may send so many frames now; then they are counted. */
  mayTake(rate: Rate, frames: number, nowMs: number): boolean {
    const used = rate.take(this.#usedUntilMs, frames, nowMs);
    this.#usedUntilMs = used ?? this.#usedUntilMs;
    return used !== null;
  }

  next(): Incoming | null {
    const next = this.#waiting.shift();
    if (next === undefined) return null;
    this.#bytes -= next.bytes;
    return next;
  }

  clear(): void {
    this.#waiting = [];
    this.#bytes = 0;
  }
}
