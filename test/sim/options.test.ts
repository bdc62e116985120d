import { describe, expect, test } from 'vitest';
import { DEFAULT_SEEDS, parseOptions } from './options.ts';

function fault(...args: string[]): string {
  const parsed = parseOptions(args);
  return parsed.outcome === 'fault' ? parsed.fault : `no fault: ${JSON.stringify(parsed)}`;
}

describe('options of the simulation', () => {
  test('[sim] without options it plays some seeds from the first', () => {
    const common = { from: 1, journal: 'batched', isVerbose: false, plant: null, json: null, workers: null };
    const alone = { ...common, seeds: DEFAULT_SEEDS.alone, shape: 'alone' };
    expect(parseOptions([])).toEqual({ outcome: 'options', options: alone });
    const cluster = { ...common, seeds: DEFAULT_SEEDS.cluster, shape: 'cluster' };
    expect(parseOptions(['--cluster'])).toEqual({ outcome: 'options', options: cluster });
  });

  test('[sim] one seed is played aloud, with or without a plant', () => {
    expect(parseOptions(['--seed', '7', '--plant', 'dropDelta'])).toMatchObject({
      options: { seeds: 1, from: 7, isVerbose: true, plant: 'dropDelta', shape: 'alone' },
    });
    expect(parseOptions(['--plant', 'holesPass'])).toMatchObject({ options: { plant: 'holesPass', shape: 'cluster' } });
  });

  test('[sim] what is not understood is refused in one sentence', () => {
    expect(fault('--bogus')).toBe("Unknown option '--bogus'. See --help.");
    expect(fault('--plant', 'nothing')).toContain('There is no plant "nothing". Plants: dropDelta');
    expect(fault('--seeds', '0')).toContain('--seeds is a whole number above 0');
    expect(fault('--seed', '1', '--from', '2')).toContain('--seed is one run');
    expect(fault('--seeds')).toContain('--seeds');
    expect(parseOptions(['-h']).outcome).toBe('help');
  });
});
