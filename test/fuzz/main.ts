// `npm run fuzz`: plays sequences and says which one breaks a promise.

import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { writeActs } from './acts.ts';
import { HELP, parseOptions, type FuzzOptions } from './options.ts';
import { PLANTS } from './plants.ts';
import { fuzzReal } from './real.ts';
import { fuzz, replay, type FuzzResult } from './simulated.ts';

const EXIT = { green: 0, red: 1, misuse: 2 } as const;

async function main(): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2), Date.now());
  if (parsed.outcome === 'help') {
    console.log(HELP);
    return EXIT.green;
  }
  if (parsed.outcome === 'fault') {
    console.error(parsed.fault);
    return EXIT.misuse;
  }
  const { options } = parsed;
  const startMs = performance.now();
  const { tally, failure } = await play(options);
  const { cache, ...counts } = tally;
  const result = {
    fuzz: options.isReal ? 'real' : 'simulation',
    seed: options.seed,
    failed: failure !== null,
    seconds: Math.round((performance.now() - startMs) / 100) / 10,
    ...counts,
    cache: { ...cache, readShare: cache.read / cache.prompt, ofReadable: cache.read / cache.readable },
  };
  console.log(JSON.stringify(result));
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  if (failure === null) return EXIT.green;
  console.log(`seed ${options.seed} is red: ${failure.error}`);
  const again = options.isReal
    ? `--real ${options.runs} --seed ${options.seed}`
    : `--acts "${writeActs(failure.acts)}"`;
  console.log(`npm run fuzz -- ${again}`);
  return EXIT.red;
}

function play({ runs, seed, plant, acts, isReal }: FuzzOptions): Promise<FuzzResult> {
  if (isReal) return fuzzReal({ runs, seed });
  const planted = plant === null ? {} : PLANTS[plant];
  return acts === null ? fuzz({ runs, seed, plant: planted }) : replay(acts, planted);
}

process.exitCode = await main();
