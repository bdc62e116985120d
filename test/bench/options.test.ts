import { describe, expect, test } from 'vitest';
import { BENCHMARKS } from './registry.ts';
import { parseArguments } from './options.ts';

describe('options of the benchmarks', () => {
  test('[bench] help names every benchmark and both options', () => {
    const parsed = parseArguments(['--help']);
    const text = parsed.outcome === 'help' ? parsed.text : '';
    for (const name of [...BENCHMARKS.keys(), '--json', '--quick']) expect(text).toContain(name);
  });

  test.each([[], ['nothing-of-the-kind'], ['--json', '', 'fanout'], ['--unknown']])(
    '[bench] %j is a mistake, in one line',
    (...args) => {
      const parsed = parseArguments(args.filter((arg) => arg !== undefined));
      expect(parsed.outcome).toBe('fault');
      expect(parsed.outcome === 'fault' ? parsed.fault : '').not.toContain('\n');
    },
  );
});
