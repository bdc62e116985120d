// The scenarios by the names of the command line.

import type { Scenario } from './scenario.ts';
import { deploy } from './scenarios/deploy.ts';
import { kill } from './scenarios/kill.ts';
import { partition } from './scenarios/partition.ts';
import { pause } from './scenarios/pause.ts';
import { storm } from './scenarios/storm.ts';

export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map(
  Object.entries({ kill, pause, partition, deploy, storm } satisfies Record<string, Scenario>),
);
