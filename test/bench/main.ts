// `npm run bench`: runs one benchmark and says what came of it.

import { writeFileSync } from 'node:fs';
import process from 'node:process';
import type { Aim, BenchResult } from './benchmark.ts';
import { parseArguments, type BenchArguments } from './options.ts';
import { describeMachine, loadAverage } from './support/machine.ts';

const EXIT = { measured: 0, void: 1, misuse: 2 } as const;

process.exitCode = await main();

async function main(): Promise<number> {
  const parsed = parseArguments(process.argv.slice(2));
  switch (parsed.outcome) {
    case 'help':
      process.stdout.write(parsed.text);
      return EXIT.measured;
    case 'fault':
      process.stderr.write(`bench: ${parsed.fault}\n`);
      return EXIT.misuse;
    case 'arguments':
      return run(parsed.given);
  }
}

async function run({ name, benchmark, isQuick, json }: BenchArguments): Promise<number> {
  const before = { at: new Date().toISOString(), load: loadAverage() };
  const result = await benchmark.run({ isQuick, say: (line) => process.stderr.write(`${line}\n`) });
  const report = {
    bench: name,
    ...result.figures,
    void: result.faults.length > 0,
    faults: result.faults,
    aims: describeAims(result.aims),
    quick: isQuick,
    startedAt: before.at,
    machine: { ...describeMachine(), loadBefore: before.load, loadAfter: loadAverage() },
  };
  if (json !== null) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`${summaryLines(name, result).join('\n')}\n`);
  return result.faults.length === 0 ? EXIT.measured : EXIT.void;
}

/** Figure → what it should be and whether it is; `met` for all of them together. */
function describeAims(aims: readonly Aim[]): Readonly<Record<string, unknown>> {
  const described = new Map<string, unknown>(
    aims.map((aim) => {
      const { figure, ...rest } = aim;
      return [figure, { ...rest, met: isMet(aim) }];
    }),
  );
  return Object.fromEntries(described.set('met', aims.every(isMet)));
}

function isMet(aim: Aim): boolean {
  return 'atLeast' in aim ? aim.got >= aim.atLeast : aim.got <= aim.atMost;
}

function summaryLines(name: string, { faults, aims }: BenchResult): readonly string[] {
  const figures = aims.map((aim) => {
    const wanted = 'atLeast' in aim ? `at least ${aim.atLeast}` : `at most ${aim.atMost}`;
    return `${name} ${aim.figure}: ${aim.got} (aim: ${wanted}${isMet(aim) ? '' : ', missed'})`;
  });
  return [...figures, ...faults.map((fault) => `${name} is void: ${fault}`)];
}
