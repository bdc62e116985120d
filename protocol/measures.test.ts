import { describe, expect, it } from 'vitest';
import { Histogram, Tally } from './measures.ts';

describe('Tally', () => {
  it('[P11] has its keys from the start and adds to them', () => {
    const tally = new Tally(['a', 'b']);
    tally.add('b');
    tally.add('b', 3);
    expect([...tally.counts]).toEqual([
      ['a', 0],
      ['b', 4],
    ]);
  });
});

describe('Histogram', () => {
  it('[P11] counts a value in the first bucket that holds it, bounds included, and sums all of them', () => {
    const histogram = new Histogram([1, 2]);
    for (const value of [0, 1, 1.5, 2, 3]) histogram.observe(value);
    expect(histogram.counts).toEqual([2, 2, 1]);
    expect(histogram.sum).toBe(7.5);
  });
});
