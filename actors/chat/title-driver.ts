// Names a chat by a cheap model, once, beside its first turn and never in its way. It is not tried again: a chat without a
// generated title goes by the beginning of its first message. What it asks is an attempt of the ledger.

import { must } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { ChatRecord, ModelBinding } from '../ports.ts';
import type { AttemptOpening } from '../turn-ports.ts';
import type { ActorDepsOf } from './actor-deps.ts';
import { AsideRun, type AsideEnd } from './aside-run.ts';
import type { ActorState, Draft, RowOf } from './draft.ts';
import { endedAttempt, estimatedUsage } from './ended-attempt.ts';
import { cleanTitle, nameChat, TITLE_LIMITS, TITLE_PROMPT } from './title.ts';
import { modelRequest } from './prompt.ts';
import { judge } from './verdict.ts';

/** What it needs of its actor. */
export type TitledActor = {
  readonly chat: ChatId;
  readonly deps: Pick<ActorDepsOf<never>, 'clock' | 'settings' | 'models' | 'log'>;
  readonly state: ActorState;
  post(task: () => Promise<void>): void;
  openDraft(): Draft;
  commit(draft: Draft, rowOf: RowOf | null): Promise<boolean>;
};

export class TitleDriver {
  readonly #actor: TitledActor;
  #run: AsideRun | null = null;

  constructor(actor: TitledActor) {
    this.#actor = actor;
  }

  get isIdle(): boolean {
    return this.#run === null;
  }

  /** Asks for the title that the last commit has opened an attempt for. */
  follow(): void {
    const { titling } = this.#actor.state;
    if (titling === null || this.#run !== null) return;
    const { deps, chat } = this.#actor;
    const { opening, text } = titling;
    const binding = deps.models.find(opening.model);
    const run: AsideRun = new AsideRun({
      clock: deps.clock,
      client: binding?.client ?? null,
      timeoutMs: TITLE_LIMITS.titleTimeoutMs,
      stopGraceMs: deps.settings.stopGraceMs,
      bytesMax: TITLE_LIMITS.titleAnswerBytes,
      prepare: () =>
        Promise.resolve(
          modelRequest({
            chat,
            attempt: opening,
            providerModel: must(binding, 'a model that is asked is set up').providerModel,
            maxOutputTokens: TITLE_LIMITS.titleTokens,
            system: [TITLE_PROMPT],
            items: [{ role: 'user', parts: [{ type: 'text', text }], provider: null }],
            tools: [],
            toolChoice: 'none',
            trace: null,
            background: false,
            resume: null,
          }),
        ),
      onFault: (error) => deps.log.child({ chat }).error('a title failed by a bug', { error }),
      onEnded: (end) => this.#actor.post(() => this.#ended(run, { opening, binding, end })),
    });
    this.#run = run;
  }

  abandon(): void {
    this.#run?.abandon();
    this.#run = null;
  }

  /** Those of an epoch that is over: nobody will ever say what they have used. */
  async settleLost(lost: readonly AttemptOpening[]): Promise<void> {
    if (lost.length === 0) return;
    const draft = this.#actor.openDraft();
    for (const { id, model } of lost) {
      const usage = estimatedUsage(0);
      const costMicros = this.#actor.deps.models.find(model)?.cost(usage) ?? null;
      const settled = { outcome: 'lost', errorCode: null, requestId: null, settledAtMs: draft.atMs } as const;
      draft.attemptsSettled.push({ id, ...settled, usage, costMicros });
    }
    await this.#actor.commit(draft, null);
  }

  async #ended(run: AsideRun, { opening, binding, end }: TitleEnd): Promise<void> {
    if (this.#run !== run) return;
    this.#run = null;
    const draft = this.#actor.openDraft();
    const { result, text, usageSoFar } = end;
    const cost = binding?.cost.bind(binding) ?? (() => null);
    const { usage, costMicros } = endedAttempt({ result, blocks: [], isStopping: false, usageSoFar, cost });
    const { settings } = this.#actor.deps;
    const judged = judge({ result, attempt: 1, settings, fraction: 0, sendsReasoning: false });
    draft.attemptsSettled.push({
      id: opening.id,
      outcome: result.outcome,
      errorCode: judged.error?.code ?? null,
      requestId: result.outcome === 'failed' ? result.error.requestId : result.requestId,
      settledAtMs: draft.atMs,
      usage,
      costMicros,
    });
    draft.change({ titling: null });
    const title = result.outcome === 'completed' && result.stopReason !== 'refusal' ? cleanTitle(text) : null;
    if (title !== null) nameChat(draft, title, 'generated');
    await this.#actor.commit(draft, null);
  }
}

type TitleEnd = {
  readonly opening: AttemptOpening;
  readonly binding: ModelBinding | null;
  readonly end: AsideEnd;
};

/** The attempts at titles apart: the others are those of the turn. */
export function withoutTitles(record: ChatRecord): {
  readonly record: ChatRecord;
  readonly titles: readonly AttemptOpening[];
} {
  const titles = record.openAttempts.filter(({ purpose }) => purpose === 'title');
  if (titles.length === 0) return { record, titles };
  const openAttempts = record.openAttempts.filter(({ purpose }) => purpose !== 'title');
  return { record: { ...record, openAttempts }, titles };
}
