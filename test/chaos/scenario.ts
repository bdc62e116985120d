// What a chaos scenario is: a plan of faults on a stage, and the figures that it gives.

import type { Stage } from './stage.ts';

export type Plan = {
  readonly nodes: number;
  readonly faults: number;
  readonly isQuick: boolean;
  /** Faults do not wait for the end of what the one before has begun, where the scenario can do that. */
  readonly isOverlapping: boolean;
};

export const CHATS_QUICK = 40;

export type Scenario = {
  /** One line, for --help. */
  readonly summary: string;
  /** Faults of a full run and of a quick one. */
  readonly faults: { readonly full: number; readonly quick: number };
  /** Chats of a full run, unless --chats says otherwise. */
  readonly chats: number;
  /** Nodes of a run, unless --nodes says otherwise, and the fewest that make sense. */
  readonly nodes: number;
  readonly nodesMin: number;
  /** How often a device leaves and comes back by itself, per turn. */
  readonly leaves: number;
  /** Whether what nodes need is reached over lines that can be bad. */
  readonly hasLines: boolean;
  /** Plays the faults; what it gives stands in the JSON beside what all scenarios say. */
  readonly play: (stage: Stage, plan: Plan) => Promise<Readonly<Record<string, unknown>>>;
};
