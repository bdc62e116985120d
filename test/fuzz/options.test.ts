import { expect, test } from 'vitest';
import { HELP, parseOptions } from './options.ts';
import { PLANT_NAMES } from './plants.ts';

const parse = (...args: readonly string[]) => parseOptions(args, 42);

test('[fuzz] without options, the sequences and the seed of the day; with --real its own number', () => {
  const plain = { runs: 20_000, seed: 42, plant: null, acts: null, isReal: false, json: null };
  expect(parse()).toEqual({ outcome: 'options', options: plain });
  expect(parse('--real', '0')).toMatchObject({ options: { runs: 300, isReal: true } });
  expect(parse('--real', '20', '--seed', '7')).toMatchObject({ options: { runs: 20, seed: 7, isReal: true } });
  expect(parse('--acts', 'send:1 stop:0')).toMatchObject({
    options: {
      acts: [
        { what: 'send', pick: 1 },
        { what: 'stop', pick: 0 },
      ],
    },
  });
});

test.each([
  [['--runs', 'many'], /--runs is a whole number/],
  [['--runs', '0'], /--runs is a whole number/],
  [['--plant', 'weed'], /There is no plant "weed"/],
  [['--acts', 'dance:1'], /is no act/],
  [['--real', '5', '--plant', 'lostText'], /--real has its own/],
  [['--sed', '1'], /--sed.*See --help/],
])('[fuzz] %j is refused with a sentence', (args, sentence) => {
  expect(parse(...args)).toMatchObject({ outcome: 'fault', fault: expect.stringMatching(sentence) as string });
});

test('[fuzz] the help names every plant', () => {
  expect(parse('--help')).toEqual({ outcome: 'help' });
  for (const name of PLANT_NAMES) expect(HELP).toContain(name);
});
