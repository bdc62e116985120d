// What effects draw from. Each topic has its file beside this one; `effects.ts` puts them together.

import { must } from '../../../protocol/assert.ts';
import type { TextPart } from '../../../protocol/content.ts';
import type { CommandId, OwnerId } from '../../../protocol/ids.ts';
import type { Position } from '../../../protocol/position.ts';
import type { TraceParent } from '../../../protocol/trace-parent.ts';
import type { Random, ModelDirectory } from '../../ports.ts';
import type { TurnRecord } from '../../turn-ports.ts';
import type { CompactionJudgement } from '../compaction/judgement.ts';
import type { Window } from '../compaction/threshold.ts';
import type { Draft, StepInput } from '../draft.ts';
import type { EndedAttempt } from '../ended-attempt.ts';
import type { Queue } from '../queue.ts';
import type { Recovered } from '../recovery.ts';
import type { ChatSettings } from '../settings.ts';
import type { CallPlan } from '../tool-calls.ts';

export type SendInput = {
  readonly id: CommandId;
  readonly parts: readonly TextPart[];
  readonly sender: OwnerId;
  /** Null: the chat's. Another one becomes the chat's. */
  readonly model: string | null;
  readonly trace: TraceParent | null;
};

/** What the effects of one transition draw from; each is there when the machine can ask for it. */
export type EffectInput = StepInput & {
  readonly random: Random;
  readonly deploymentPrompt: string;
  /** The provider of a model, for the ledger. */
  readonly providerOf: (model: string) => string;
  readonly send: SendInput | null;
  /** Somebody waits for the chat to rest: nothing new begins behind the turn. */
  readonly restsAfter: boolean;
  /** The node goes down: no step is asked any more. */
  readonly leaves: boolean;
  /** The model that names chats with this model; null: nobody does. */
  readonly titleModelFor: (model: string) => string | null;
  /** The window of a model, for compaction. */
  readonly windowOf: (model: string) => Window;
  /** The command that asks for a compaction. */
  readonly compact: { readonly id: CommandId; readonly trace: TraceParent | null } | null;
  readonly compaction: CompactionJudgement | null;
  readonly ended: EndedAttempt | null;
  /** From which number on messages are to leave. */
  readonly rewindFrom: number | null;
  /** The queue as somebody wants it, and until when one of it is held for that one. */
  readonly queueChange: { readonly queue: Queue; readonly heldUntilMs: number | null } | null;
  readonly recovered: Recovered | null;
  /** What becomes of the calls of the step; null: nothing. */
  readonly plan: CallPlan | null;
  /** The tool that the owner allows for good. */
  readonly always: string | null;
  readonly settings: Pick<ChatSettings, 'stepsMax' | 'journal'>;
  /** Of the tools that requests have now. */
  readonly toolsHash: string;
};

/** What most transitions draw from nothing of. */
export const NO_INPUT = {
  send: null,
  trace: null,
  tellsBelow: null,
  heard: null,
  compact: null,
  compaction: null,
  ended: null,
  recovered: null,
  plan: null,
  always: null,
  rewindFrom: null,
  queueChange: null,
} as const;

type ConstantInput = Pick<
  EffectInput,
  | 'random'
  | 'deploymentPrompt'
  | 'providerOf'
  | 'settings'
  | 'toolsHash'
  | 'restsAfter'
  | 'leaves'
  | 'windowOf'
  | 'titleModelFor'
>;

/** What is the same for every effect of a step. */
export function constantInput(
  {
    random,
    settings,
    models,
  }: { readonly random: Random; readonly settings: ChatSettings; readonly models: ModelDirectory },
  now: Pick<EffectInput, 'toolsHash' | 'restsAfter' | 'leaves'>,
): ConstantInput {
  return {
    random,
    settings,
    ...now,
    titleModelFor: (model) => models.titleModelFor(model),
    windowOf: (model) => models.find(model) ?? { contextWindow: null, compactionPercent: null },
    deploymentPrompt: settings.deploymentPrompt,
    providerOf: (model) => models.find(model)?.provider ?? 'none',
  };
}

/** Adds to the draft and does nothing else. */
export type Effect = (draft: Draft, input: EffectInput) => void;

export function wirePosition(position: Position): readonly [number, number] {
  return [position.epoch, position.seq];
}

export function turnOf(draft: Draft): TurnRecord {
  return must(draft.state.turn, 'the machine runs a turn');
}

export function sendOf(input: EffectInput): SendInput {
  return must(input.send, 'the machine was given a message');
}

export function endedOf(input: EffectInput): EndedAttempt {
  return must(input.ended, 'the machine was given the end of an attempt');
}

export function recoveredOf(input: EffectInput): Recovered {
  return must(input.recovered, 'the machine was given what the epoch before left behind');
}

/** The model is written only when it differs. */
export function setModel(draft: Draft, model: string | null): void {
  if (model !== null && model !== draft.state.chat.model) draft.changeChat({ model });
}
