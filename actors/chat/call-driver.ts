// The calls of one chat's steps, for its actor: what its model may call, the runs of what was called, and what the plans are
// made from. The actor commits; this begins and ends runs after the commits.

import { uuidV8, type OwnerId } from '../../protocol/ids.ts';
import type { Clock, Random } from '../ports.ts';
import type { ToolOutcome, ToolRunner, ToolSpec } from '../tool-ports.ts';
import type { CallSource } from './call-plans.ts';
import { chatTools, type ChatTools } from './chat-tools.ts';
import type { ActorState } from './draft.ts';
import type { ChatSettings } from './settings.ts';
import type { StreamLog } from './stream-log.ts';
import { endRuns, type CallPlan } from './tool-calls.ts';
import { ToolRuns } from './tool-runs.ts';

export type CallDriverOptions = {
  readonly deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly tools: ToolRunner;
    readonly settings: ChatSettings;
  };
  readonly clientTools: readonly ToolSpec[];
  readonly log: StreamLog;
  readonly state: () => ActorState;
  readonly post: (task: () => Promise<void>) => void;
  /** Runs have ended: inside a task of the actor. */
  readonly onEnded: (plan: CallPlan) => Promise<void>;
};

export class CallDriver {
  readonly #options: CallDriverOptions;
  /** Null until a call runs: most chats have none. */
  #runs: ToolRuns | null = null;
  /** Of runs that have ended, until the task that settles them takes them. */
  #outcomes = new Map<number, ToolOutcome>();

  constructor(options: CallDriverOptions) {
    this.#options = options;
  }

  /** What the model of this chat may call. */
  get tools(): ChatTools {
    return chatTools(this.#options.deps.tools, this.#options.clientTools);
  }

  get isIdle(): boolean {
    return this.#runs === null || this.#runs.size === 0;
  }

  get runs(): ToolRuns | null {
    return this.#runs;
  }

  get source(): CallSource {
    const { state, deps } = this.#options;
    const { turn, calls, allowed } = state();
    const { clock, settings, random } = deps;
    const newKey = (): string => uuidV8(clock.nowMs(), random.bytes(10));
    return { turn, calls, allowed, tools: this.tools, atMs: clock.nowMs(), settings, newKey };
  }

  /** Behind a commit: begins what runs from now on, and ends what does not any more. */
  follow(): void {
    const { calls, chat } = this.#options.state();
    if (this.#runs === null && !calls.some(({ state }) => state === 'running')) return;
    this.#runs ??= this.#makeRuns(chat.owner as OwnerId);
    this.#runs.follow(calls);
  }

  #makeRuns(owner: OwnerId): ToolRuns {
    const { deps, log, post } = this.#options;
    return new ToolRuns({
      clock: deps.clock,
      runner: deps.tools,
      log,
      chat: log.chat,
      owner,
      mergeWindowMs: deps.settings.mergeWindowMs,
      onEnded: (index, outcome) => {
        this.#outcomes.set(index, outcome);
        if (this.#outcomes.size === 1) post(() => this.#settle());
      },
      onFault: (error) => {
        post(async () => {
          throw error;
        });
      },
    });
  }

  /** Runs that ended while another commit was on its way are settled together. */
  async #settle(): Promise<void> {
    const outcomes = this.#outcomes;
    this.#outcomes = new Map();
    const plan = endRuns(this.#options.state().calls, outcomes);
    if (plan.settled.length > 0) await this.#options.onEnded(plan);
  }
}
