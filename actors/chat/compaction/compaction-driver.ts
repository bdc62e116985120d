// Runs what of the compaction of one chat is in flight: each try is a run of its own, from the commit that began it to the
// one that ends it.

import type { ActorDepsOf } from '../actor-deps.ts';
import type { ActorState } from '../draft.ts';
import type { EndedAttempt } from '../ended-attempt.ts';
import type { LifeState } from '../machine.ts';
import type { ToolSpec } from '../../tool-ports.ts';
import { CompactionRun, type CompactionEnd } from './compaction-run.ts';

export type CompactionDriverOptions = {
  readonly deps: Pick<ActorDepsOf<never>, 'clock' | 'random' | 'store' | 'settings' | 'models'>;
  readonly state: () => ActorState;
  readonly tools: () => readonly ToolSpec[];
  readonly post: (task: () => Promise<void>) => void;
  readonly onFault: (error: unknown) => void;
  readonly onEnded: (end: CompactionEnd) => Promise<void>;
};

export class CompactionDriver {
  readonly #options: CompactionDriverOptions;
  #run: CompactionRun | null = null;

  constructor(options: CompactionDriverOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#run === null;
  }

  /** What runs follows from the state: a stop lets it end. */
  follow(life: LifeState): void {
    const { deps, state, tools, post, onFault } = this.#options;
    const { turn, chat } = state();
    const running = life === 'compacting' ? (turn?.compaction?.running ?? null) : null;
    if (life !== 'stopping' && this.#run?.running !== running) this.abandon();
    if (running === null || this.#run !== null) return;
    const run: CompactionRun = new CompactionRun({
      deps,
      state: state(),
      running,
      binding: deps.models.find(turn?.model ?? chat.model),
      tools: tools(),
      onFault,
      onEnded: (end) => post(() => this.#ended(run, end)),
    });
    this.#run = run;
  }

  stop(): void {
    this.#run?.stop();
  }

  abandon(): void {
    this.#run?.abandon();
    this.#run = null;
  }

  /** As its attempt is settled without the provider's last word. */
  endedNow(): EndedAttempt | null {
    return this.#run?.endedNow() ?? null;
  }

  async #ended(run: CompactionRun, end: CompactionEnd): Promise<void> {
    if (this.#run !== run) return;
    this.#run = null;
    await this.#options.onEnded(end);
  }
}
