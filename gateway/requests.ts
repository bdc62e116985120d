// The commands and queries of a session that wait for their reply: bounded in number and in the bytes they came in.

import { LIMITS } from '../protocol/limits.ts';
import { GATEWAY_LIMITS } from './limits.ts';

export class Requests {
  #count = 0;
  #bytes = 0;

  /** Takes a request of `bytes` in; false, and not taken, when as many wait as may. `leave` takes it out. */
  enter(bytes: number): boolean {
    if (this.#count >= LIMITS.requestsPerSession) return false;
    if (this.#bytes + bytes > GATEWAY_LIMITS.inboundBytesPerSession) return false;
    this.#count += 1;
    this.#bytes += bytes;
    return true;
  }

  leave(bytes: number): void {
    this.#count -= 1;
    this.#bytes -= bytes;
  }
}
