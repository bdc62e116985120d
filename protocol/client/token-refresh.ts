// Keeps the credential of an open connection fresh: fetches a new one before the old one ends and hands it over in-band,
// so that nobody is disconnected for the age of a token.
//
// Invariants: at most one fetch or `auth` is on its way; two of them lie at least `refreshMinMs` apart, whatever the
// clocks say, so that a clock that is wrong by hours costs some calls and not a storm. When refreshing fails until the
// end, the server closes with `token_expired` and the reconnect fetches anew: this class may fail without harm.

import type { ServerFrame } from '../frames.ts';
import type { ClientClock } from './environment.ts';
import { CLIENT_LIMITS } from './limits.ts';

export type TokenRefreshOptions = {
  readonly clock: ClientClock;
  readonly fetch: () => Promise<string>;
  /** Sends `auth` and returns its request number. */
  readonly sendAuth: (credential: string) => number;
  /** How far the server's clock is ahead of ours, as far as known. */
  readonly serverOffsetMs: () => number;
};

const DAY_MS = 24 * 60 * 60 * 1000;

/** For one live connection. */
export class TokenRefresh {
  readonly #options: TokenRefreshOptions;
  #expiresAtMs: number;
  #cancel: () => void = () => {};
  #fetching = false;
  /** The request of the `auth` that is not answered yet. */
  #request: number | null = null;
  #refreshedAtMs = -Infinity;
  #stopped = false;

  constructor(options: TokenRefreshOptions, expiresAtMs: number) {
    this.#options = options;
    this.#expiresAtMs = expiresAtMs;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** The server says that the credential is over: do not wait for the plan. */
  now(): void {
    if (this.#stopped || this.#fetching || this.#request !== null) return;
    const { clock } = this.#options;
    const waitMs = Math.max(0, this.#refreshedAtMs + CLIENT_LIMITS.refreshMinMs - clock.nowMs());
    this.#cancel();
    this.#cancel = clock.after(waitMs, () => void this.#refresh());
  }

  /** The server's clock turned out to be another one than was thought. */
  replan(): void {
    if (!this.#fetching && this.#request === null) this.#arm();
  }

  /** Whether the reply answers our `auth`. */
  takeReply(frame: ServerFrame & { readonly op: 'reply' }): boolean {
    if (this.#request === null || frame.request !== this.#request) return false;
    this.#request = null;
    const expiresAtMs = frame.error === null ? readExpiry(frame.result) : null;
    if (expiresAtMs !== null) this.#expiresAtMs = expiresAtMs;
    this.#arm();
    return true;
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock, serverOffsetMs } = this.#options;
    const leftMs = this.#expiresAtMs - (clock.nowMs() + serverOffsetMs());
    const leadMs = Math.min(CLIENT_LIMITS.refreshLeadMs, leftMs / 5);
    const delayMs = Math.max(CLIENT_LIMITS.refreshMinMs, leftMs - leadMs);
    this.#cancel();
    // Timers hold some 24 days only; a long wait is taken in days.
    this.#cancel =
      delayMs > DAY_MS ? clock.after(DAY_MS, () => this.#arm()) : clock.after(delayMs, () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    this.#fetching = true;
    this.#refreshedAtMs = this.#options.clock.nowMs();
    try {
      const credential = await this.#options.fetch();
      if (!this.#stopped) this.#request = this.#options.sendAuth(credential);
    } catch {
      // Whoever hands out credentials may be away for a while; the next try follows.
      this.#arm();
    } finally {
      this.#fetching = false;
    }
  }
}

function readExpiry(result: unknown): number | null {
  if (typeof result !== 'object' || result === null || !('expires_at' in result)) return null;
  return typeof result.expires_at === 'number' ? result.expires_at : null;
}
