// `npm run chaos`: plays scenarios and says what broke.

import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { parseArguments, type ChaosArguments } from './options.ts';
import { runScenario, type ChaosReport } from './run.ts';

const EXIT = { whole: 0, broken: 1, misuse: 2 } as const;

process.exitCode = await main();

async function main(): Promise<number> {
  const parsed = parseArguments(process.argv.slice(2));
  switch (parsed.outcome) {
    case 'help':
      process.stdout.write(parsed.text);
      return EXIT.whole;
    case 'fault':
      process.stderr.write(`chaos: ${parsed.fault}\n`);
      return EXIT.misuse;
    case 'arguments':
      return run(parsed.given);
  }
}

async function run({ scenarios, json, history, ...given }: ChaosArguments): Promise<number> {
  const reports: ChaosReport[] = [];
  for (const [name, scenario] of scenarios) {
    const say = (line: string): void => void process.stderr.write(`${name}: ${line}\n`);
    const file = history === null || scenarios.length === 1 ? history : `${history}.${name}`;
    const report = await runScenario({ ...given, name, scenario, say, history: file });
    reports.push(report);
    for (const line of report.broken) process.stdout.write(`${name}: ${line}\n`);
    process.stdout.write(`${JSON.stringify(summaryOf(report))}\n`);
  }
  const [only] = reports;
  const whole =
    reports.length === 1 ? only : { chaos: 'all', violations: sum(reports), faults: count(reports), reports };
  if (json !== null) writeFileSync(json, `${JSON.stringify(whole, null, 2)}\n`);
  return sum(reports) === 0 ? EXIT.whole : EXIT.broken;
}

/** What fits on a line. */
function summaryOf({ looked: _looked, broken: _broken, machine: _machine, ...rest }: ChaosReport): unknown {
  return rest;
}

function sum(reports: readonly ChaosReport[]): number {
  return reports.reduce((total, { violations }) => total + violations, 0);
}

function count(reports: readonly ChaosReport[]): number {
  return reports.reduce((total, { faults }) => total + faults, 0);
}
