// What the actors of a node count, for whoever watches the node. Counters only: what is there now (actors by state, their
// rings) is measured when somebody asks, see ../host/measure.ts.

import { Histogram, Tally } from '../../protocol/measures.ts';
import type { ToolStatus, TurnOutcome } from '../../protocol/content.ts';
import type { CompactionOutcome } from '../../protocol/events.ts';
import type { ActivationResult } from '../ports.ts';
import type { AttemptOpening, AttemptSettlement } from '../turn-ports.ts';
import type { Draft } from './draft.ts';
import { HOST_LIMITS } from '../host/settings.ts';
import { PAIRING_RULES, type PairingRule } from './pairing.ts';
import { RingBudget } from './ring-budget.ts';
import { ACTOR_LIMITS, EVICTION_LIMITS, type ActorLimit, type EvictionLimit } from './counted-limits.ts';

/** Why an actor is over. `passivated` and `drained` are in order, the others call for a rebuild. */
export const END_REASONS = [
  'passivated',
  'drained',
  'stale',
  'archived',
  'rejected',
  'unknown',
  'unavailable',
  'crashed',
] as const;
export type EndReason = (typeof END_REASONS)[number];

/** A model at work: from a tenth of a second to ten minutes. */
const ATTEMPT_BOUNDS_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640];

const ACTIVATIONS = ['activated', 'gone', 'owned', 'unavailable'] as const satisfies ActivationResult['outcome'][];
const TURNS = [
  'completed',
  'stopped',
  'refused',
  'max_tokens',
  'step_limit',
  'error',
  'interrupted',
] as const satisfies readonly TurnOutcome[];

const CALLS = ['ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown'] as const satisfies readonly ToolStatus[];
const COMPACTIONS = ['compacted', 'cut', 'failed'] as const satisfies readonly CompactionOutcome[];

export class ActorCounts {
  readonly limits = new Tally<ActorLimit>(ACTOR_LIMITS);
  readonly evictions = new Tally<EvictionLimit>(EVICTION_LIMITS);
  readonly rings = new RingBudget(this.evictions, HOST_LIMITS.ringsBytes);
  readonly activations = new Tally<ActivationResult['outcome']>(ACTIVATIONS);
  readonly ends = new Tally<EndReason>(END_REASONS);
  /** Calls of tools that were settled. */
  readonly calls = new Tally<ToolStatus>(CALLS);
  readonly turns = new Tally<TurnOutcome>(TURNS);
  readonly compactions = new Tally<CompactionOutcome>(COMPACTIONS);
  /** By provider; so are the next ones. Providers are those that are set up: a few. */
  readonly providers = new Map<string, ProviderCounts>();
  /** Requests that were not sent, by the rule of the providers that they break. */
  readonly promptFaults = new Tally<PairingRule>(PAIRING_RULES);
  revivals = 0;
  journalPacks = 0;
  /** What chats were told by others, and have done. */
  heard = 0;

  /** A step of a chat is in storage: what it said is true from now on, and equal to what the ledger holds. */
  committed(draft: Draft): void {
    this.journalPacks += draft.journal.length;
    this.heard += draft.heard.length;
    for (const call of draft.calls) if (call.state === 'settled') this.calls.add(call.status);
    for (const limit of draft.limits) this.limits.add(limit);
    for (const opening of draft.attemptsOpened) this.provider(opening.provider).opened += 1;
    const { lastTurn } = draft;
    if (lastTurn !== null) this.turns.add(lastTurn);
    for (const outcome of draft.compactions) this.compactions.add(outcome);
    for (const settlement of draft.attemptsSettled) {
      const opening = draft.openedOf(settlement);
      this.provider(opening?.provider ?? 'none').settled(settlement, opening);
    }
    const [settlement] = draft.attemptsSettled;
    if (settlement !== undefined && draft.state.turn?.retry && !draft.before.turn?.retry) {
      this.provider(draft.before.attempt?.provider ?? 'none').retries.add(settlement.errorCode ?? 'none');
    }
  }

  provider(name: string): ProviderCounts {
    const known = this.providers.get(name);
    if (known !== undefined) return known;
    const counts = new ProviderCounts();
    this.providers.set(name, counts);
    return counts;
  }
}

/** `<outcome> <error code or none>` of an attempt. */
type AttemptEnd = `${AttemptSettlement['outcome']} ${string}`;

const TOKENS = ['input', 'output', 'cache_read', 'cache_write'] as const;

export class ProviderCounts {
  opened = 0;
  readonly ends = new Tally<AttemptEnd>(['completed none']);
  /** By the error that they answer. */
  readonly retries = new Tally<string>();
  readonly seconds = new Histogram(ATTEMPT_BOUNDS_SECONDS);
  /** From the request to the first block of its answer. */
  readonly firstBlockSeconds = new Histogram(ATTEMPT_BOUNDS_SECONDS);
  readonly tokens = new Tally<(typeof TOKENS)[number]>(TOKENS);
  /** What is priced; beyond 2^53 micro-dollars, nine billion dollars, the sum would be rounded. */
  costMicros = 0;
  /** Settled attempts without a price. */
  unpriced = 0;

  settled(
    { outcome, errorCode, settledAtMs, usage, costMicros }: AttemptSettlement,
    opening: AttemptOpening | null,
  ): void {
    this.ends.add(`${outcome} ${errorCode ?? 'none'}`);
    if (opening !== null && outcome !== 'lost') this.seconds.observe((settledAtMs - opening.startedAtMs) / 1000);
    if (costMicros === null) this.unpriced += 1;
    else this.costMicros += Number(costMicros);
    if (usage === null) return;
    this.tokens.add('input', usage.input_tokens);
    this.tokens.add('output', usage.output_tokens);
    this.tokens.add('cache_read', usage.cache_read_tokens);
    this.tokens.add('cache_write', usage.cache_write_tokens);
  }
}
