// The scenarios by the names of the command line.

import type { Scenario } from './scenario.ts';
import { kill } from './scenarios/kill.ts';

export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map([['kill', kill]]);
