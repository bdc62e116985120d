import { describe, expect, it } from 'vitest';
import {
  begun,
  budgetTokens,
  gainsNothing,
  isDue,
  judged,
  NO_COMPACTION,
  REMEDIES_MAX,
  remediesOf,
  type CompactionRecord,
} from './record.ts';

const WINDOW = { contextWindow: 1_000, compactionPercent: null };

describe('compaction in a turn', () => {
  it('[compaction] is due at the threshold, by command below it, and not before anything was asked', () => {
    expect(isDue(NO_COMPACTION, 699, WINDOW)).toBe(false);
    expect(isDue(NO_COMPACTION, 700, WINDOW)).toBe(true);
    expect(isDue(NO_COMPACTION, null, WINDOW)).toBe(false);
    expect(isDue({ ...NO_COMPACTION, requested: true }, 1, WINDOW)).toBe(true);
    expect(isDue({ ...NO_COMPACTION, requested: true }, null, WINDOW)).toBe(false);
  });

  it('[P12] one that runs is gone on with, also where another epoch began it', () => {
    const running = begun(NO_COMPACTION, { source: 'automatic', step: 4, isFresh: false });
    expect(isDue(running, null, WINDOW)).toBe(true);
    expect(begun(running, { source: 'overflow', step: 4, isFresh: false }).running).toEqual({
      source: 'automatic',
      kind: 'summary',
      tries: 2,
      halvings: 0,
    });
  });

  it('[compaction] what gained nothing is not done again in the turn', () => {
    const before: CompactionRecord = { ...NO_COMPACTION, beforeTokens: 800 };
    expect(judged(before, 719)).toMatchObject({ beforeTokens: null, isSpent: false });
    const spent = judged(before, 720);
    expect(spent).toMatchObject({ beforeTokens: null, isSpent: true });
    expect(isDue(spent, 990, WINDOW)).toBe(false);
    expect(judged(before, 0)).toBe(before);
    expect(gainsNothing(100, 90)).toBe(true);
    expect(gainsNothing(100, 89)).toBe(false);
  });

  it('[P12] a request that does not fit is helped by a summary, then by cuts, and no more often than that', () => {
    const kinds: (string | undefined)[] = [];
    let record = NO_COMPACTION;
    while (remediesOf(record, 7) < REMEDIES_MAX) {
      record = begun(record, { source: 'overflow', step: 7, isFresh: false });
      kinds.push(`${record.running?.kind} ${record.running?.halvings}`);
      record = { ...record, running: null };
    }
    expect(kinds).toEqual(['summary 1', 'cut 1', 'cut 2']);
    expect(remediesOf(record, 8)).toBe(0);
    expect(begun(record, { source: 'overflow', step: 8, isFresh: false })).toMatchObject({
      step: 8,
      remedies: 1,
      running: { kind: 'summary' },
    });
  });

  it('[compaction] where nothing was answered yet there is nothing to summarise', () => {
    expect(begun(NO_COMPACTION, { source: 'overflow', step: 1, isFresh: true })).toMatchObject({
      remedies: 2,
      running: { kind: 'cut', halvings: 1 },
    });
  });

  it('[compaction] what is shown is half of what fits, then half of that; the last cut leaves nothing that was answered', () => {
    const running = { kind: 'summary', halvings: 1 } as const;
    expect(budgetTokens(5_000, WINDOW, running)).toBe(500);
    expect(budgetTokens(400, WINDOW, running)).toBe(200);
    expect(budgetTokens(5_000, { contextWindow: null }, { ...running, halvings: 2 })).toBe(1_250);
    expect(budgetTokens(5_000, WINDOW, { ...running, halvings: 0 })).toBe(750);
    expect(budgetTokens(5_000, { contextWindow: null }, { ...running, halvings: 0 })).toBeNull();
    expect(budgetTokens(5_000, WINDOW, { kind: 'cut', halvings: 1 })).toBe(500);
    expect(budgetTokens(5_000, WINDOW, { kind: 'cut', halvings: 2 })).toBe(0);
  });
});
