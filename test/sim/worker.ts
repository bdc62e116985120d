// Runs its share of the seeds in a thread of its own.

import { parentPort, workerData } from 'node:worker_threads';
import type { JournalMode } from '../../actors/turn-ports.ts';
import { must } from '../../protocol/assert.ts';
import type { Shape } from './faults.ts';
import { planted, type PlantName } from './plants.ts';
import { run } from './run.ts';

/** Seeds `from`, `from + step`, … below `end`. */
export type Share = {
  readonly from: number;
  readonly step: number;
  readonly end: number;
  readonly shape: Shape;
  readonly journal: JournalMode;
  readonly plant: PlantName | null;
};

const port = must(parentPort, 'this module is the entry of a worker');
const { from, step, end, shape, journal, plant } = workerData as Share;

for (let seed = from; seed < end; seed += step) {
  port.postMessage(await run({ seed, shape, journal, plant: planted(plant) }));
}
