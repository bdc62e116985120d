// One try of a compaction while it is in flight: reads the prompt, asks the model for a summary, or cuts without it, and
// judges what came of it.

import type { TraceParent } from '../../../protocol/trace-parent.ts';
import type { ActorDepsOf } from '../actor-deps.ts';
import { AsideRun, type AsideEnd } from '../aside-run.ts';
import type { ActorState } from '../draft.ts';
import { endedAttempt, type EndedAttempt } from '../ended-attempt.ts';
import { joinResults, modelRequest } from '../prompt.ts';
import { judge, type Judgement } from '../verdict.ts';
import type { ToolSpec } from '../../tool-ports.ts';
import type { LedgerItem, ModelBinding, ModelRequest } from '../../ports.ts';
import { must } from '../../../protocol/assert.ts';
import { estimatedTokens } from './estimate.ts';
import { judgeCompaction, type CompactionJudgement } from './judgement.ts';
import { COMPACTION_LIMITS } from './limits.ts';
import { budgetTokens, summaryTokensMax, type RunningCompaction } from './record.ts';
import { summaryItems } from './summary.ts';
import type { Window } from './threshold.ts';
import { timeoutMs } from './timeout.ts';

export type CompactionEnd = {
  readonly judgement: CompactionJudgement;
  /** Null: nobody was asked. */
  readonly ended: EndedAttempt | null;
};

export type CompactionRunOptions = {
  readonly deps: Pick<ActorDepsOf<never>, 'clock' | 'random' | 'store' | 'settings'>;
  /** As the chat's own requests have them: what the provider has cached begins with them. */
  readonly tools: readonly ToolSpec[];
  readonly state: ActorState;
  readonly running: RunningCompaction;
  /** Null: the model is not set up here any more. */
  readonly binding: ModelBinding | null;
  readonly onFault: (error: unknown) => void;
  /** Called once, never after `abandon`. */
  readonly onEnded: (end: CompactionEnd) => void;
};

export class CompactionRun {
  readonly #options: CompactionRunOptions;
  readonly running: RunningCompaction;
  readonly #window: Window;
  readonly #aside: AsideRun | null;
  #items: readonly LedgerItem[] | null = null;
  #isOver = false;

  constructor(options: CompactionRunOptions) {
    this.#options = options;
    const { state, binding, deps, onFault } = options;
    this.running = options.running;
    this.#window = binding ?? { contextWindow: null, compactionPercent: null };
    if (this.running.kind === 'cut') {
      this.#aside = null;
      void this.#cut();
      return;
    }
    const { clock, settings } = deps;
    this.#aside = new AsideRun({
      clock,
      client: binding?.client ?? null,
      timeoutMs: timeoutMs({ contextTokens: state.contextTokens ?? 0, tokensPerSecond: state.tokensPerSecond }),
      stopGraceMs: settings.stopGraceMs,
      bytesMax: COMPACTION_LIMITS.summaryBytes,
      prepare: () => this.#prepare(),
      onFault,
      onEnded: (end) => this.#judge(end),
    });
  }

  /** What it has used so far is handed over. */
  stop(): void {
    if (this.#aside === null) this.#end(null, null);
    else this.#aside.stop();
  }

  /** Nobody wants to hear of it any more. */
  abandon(): void {
    this.#isOver = true;
    this.#aside?.abandon();
  }

  /** As it is settled without the provider's last word. */
  endedNow(): EndedAttempt | null {
    if (this.#aside === null) return null;
    const result = { outcome: 'aborted', provider: null, usage: null, requestId: null } as const;
    return this.#endedAttempt({ result, text: '', usageSoFar: this.#aside.usageSoFar });
  }

  async #read(): Promise<readonly LedgerItem[] | null> {
    const { deps, state } = this.#options;
    const prompt = await deps.store.prompt(state.chat.id);
    this.#items = prompt.outcome === 'read' ? joinResults(prompt.value) : null;
    return this.#items;
  }

  async #prepare(): Promise<ModelRequest | null> {
    const items = await this.#read();
    const { state, binding } = this.#options;
    if (items === null || binding === null) return null;
    const { providerModel, maxOutputTokens } = binding;
    const longest = summaryTokensMax(this.#window);
    const budget = budgetTokens(estimatedTokens(items), this.#window, this.running);
    return modelRequest({
      chat: state.chat.id,
      attempt: must(state.attempt, 'the attempt was opened'),
      providerModel,
      maxOutputTokens: maxOutputTokens === null ? null : Math.min(maxOutputTokens, longest),
      system: state.fixedSystem ?? [],
      items: summaryItems(items, budget),
      tools: this.#options.tools,
      toolChoice: 'none',
      trace: this.#trace,
      background: false,
      resume: null,
    });
  }

  get #trace(): TraceParent | null {
    return this.#options.state.turn?.trace ?? null;
  }

  async #cut(): Promise<void> {
    try {
      await this.#read();
    } catch (error) {
      this.#options.onFault(error);
    }
    this.#end(null, null);
  }

  #judge(end: AsideEnd): void {
    const { settings, random } = this.#options.deps;
    const attempt = this.running.tries;
    const judgement = judge({
      result: end.result,
      attempt,
      settings,
      fraction: random.fraction(),
      sendsReasoning: false,
    });
    this.#end(end, judgement);
  }

  #end(end: AsideEnd | null, judgement: Judgement | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { turn } = this.#options.state;
    const decided = judgeCompaction({
      running: this.running,
      isAlone: turn?.compaction?.isAlone === true,
      result: end?.result ?? null,
      judgement,
      summary: end?.text ?? '',
      items: this.#items,
      turnFrom: turn?.from ?? null,
      window: this.#window,
    });
    const { error, delayMs } = judgement ?? decided;
    const ended = end === null ? null : { ...this.#endedAttempt(end), error, delayMs };
    this.#options.onEnded({ judgement: decided, ended });
  }

  #endedAttempt({ result, usageSoFar }: AsideEnd): EndedAttempt {
    const cost = (usage: EndedAttempt['usage']): bigint | null => this.#options.binding?.cost(usage) ?? null;
    return endedAttempt({ result, blocks: [], isStopping: false, usageSoFar, cost });
  }
}
