// The commands and queries of a session that wait for their reply: bounded in number and in the bytes they came in.

import { LIMITS } from '../protocol/limits.ts';
import { GATEWAY_LIMITS } from './limits.ts';

export class Requests {
  #count = 0;
  #bytes = 0;

  /** Takes a request of `bytes` in; or gives the limit that keeps it out. `leave` takes it out again. */
  enter(bytes: number): 'requestsPerSession' | 'inboundBytesPerSession' | null {
    if (this.#count >= LIMITS.requestsPerSession) return 'requestsPerSession';
    if (this.#bytes + bytes > GATEWAY_LIMITS.inboundBytesPerSession) return 'inboundBytesPerSession';
    this.#count += 1;
    this.#bytes += bytes;
    return null;
  }

  leave(bytes: number): void {
    this.#count -= 1;
    this.#bytes -= bytes;
  }
}
