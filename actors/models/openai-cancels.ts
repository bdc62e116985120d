// Giving up responses that run in the background: nobody waits for it, so its requests are owned here, bounded, and ended
// with the node.

import type OpenAI from 'openai';

import type { Clock, Log, Random } from '../ports.ts';
import { classifyOpenAiError } from './openai-errors.ts';
import { pause } from './pause.ts';

/**
 * Cancellations under way. 256 turns that are stopped at once are a large node's; a response beyond them is left to run to
 * its end, which costs its price and is logged.
 */
const PENDING_MAX = 256;
const TRIES = 3;
const TIMEOUT_MS = 10_000;
/** Four times as long after each try, half of it jitter: what a node gives up at once comes back spread. */
const AGAIN_BASE_MS = 500;
/** For what is under way when the node stops: a round trip. What waits for another try gets that one at once. */
const STOP_GRACE_MS = 1_000;

export type RunCancelsOptions = { readonly clock: Clock; readonly random: Random; readonly log: Log };

/** Every cancellation is in `#pending` from its beginning to its end; once `stop` was called none begins. */
export class RunCancels {
  readonly #options: RunCancelsOptions;
  readonly #pending = new Set<Promise<void>>();
  /** No further try. */
  readonly #stopping = new AbortController();
  /** No further wait for an answer either. */
  readonly #over = new AbortController();

  constructor(options: RunCancelsOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** To cancel a response twice, or one that is over, changes nothing. Never throws; a failure is logged, once. */
  cancel(sdk: OpenAI, ref: string): void {
    if (this.#stopping.signal.aborted || this.#pending.size >= PENDING_MAX) {
      this.#warn(ref, 'no room');
      return;
    }
    const running = this.#run(sdk, ref).finally(() => this.#pending.delete(running));
    this.#pending.add(running);
  }

  /** Resolves when nothing is under way any more; bounded by a second. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const takeBack = this.#options.clock.after(STOP_GRACE_MS, () => this.#over.abort());
    await Promise.all(this.#pending);
    takeBack();
  }

  async #run(sdk: OpenAI, ref: string): Promise<void> {
    const { clock, random } = this.#options;
    for (let tried = 1; ; tried++) {
      try {
        await sdk.responses.cancel(ref, { timeout: TIMEOUT_MS, signal: this.#over.signal });
        return;
      } catch (error) {
        if (tried >= TRIES || this.#stopping.signal.aborted) {
          this.#warn(ref, classifyOpenAiError(error, clock.nowMs()).detail);
          return;
        }
      }
      const fullMs = AGAIN_BASE_MS * 4 ** (tried - 1);
      await pause(clock, fullMs / 2 + (fullMs / 2) * random.fraction(), this.#stopping.signal);
    }
  }

  #warn(ref: string, detail: string): void {
    this.#options.log.warn('a response could not be cancelled: it may run on and be paid', { ref, detail });
  }
}
