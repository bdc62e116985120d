// The machine that a benchmark ran on, for its JSON: a figure without it cannot be compared.

import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export type Machine = {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
};

export function describeMachine(): Machine {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryBytes: totalmem(),
    system: `${process.platform} ${process.arch} ${release()}`,
    node: process.version,
  };
}

/** Over the last minute: what else the machine was busy with. */
export function loadAverage(): number {
  return rounded(loadavg()[0] ?? 0);
}

/** Three significant digits: more would claim a precision that no run here has. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
