// Seeds that were red, by what they found. Each defect has a test of its own as well; the seed keeps the way in which it
// was met, until something else is drawn: then it is a run like any other.
import { describe, expect, test } from 'vitest';
import { run } from './run.ts';

const FOUND = [
  [4, 'P2, unarchiving a chat that is not archived moved its time for those who follow it, but not in storage'],
  [309, 'P2, chats that were archived with their tree showed another time than storage has'],
  [34, 'P2, commands for a chat that was just being loaded overtook each other'],
  [113, 'P12, a message between the stop and the archive made the chat wait for itself for ever'],
  [102, 'P12, a chat archived and taken out again at once refused every message'],
  [65, 'P5, text shown under an epoch before the last one vanished without a retraction'],
  [100, 'P6, deltas of a provider that was given up for its silence were still shown'],
  [10, 'P4, a client that lost its connection right after it was resumed came back without its cursor'],
  [5176, 'P12, a turn was never taken up when the answer to the activation was lost'],
  [
    1663,
    'P5, the check called a reset untold whose attempt had been taken up and had failed before its run was asked for',
  ],
  [10371, 'P2, a chat that was archived alone while its tree was showed another time than storage has'],
] as const;

describe('seeds that were red', () => {
  for (const [seed, title] of FOUND) {
    test(`[sim] seed ${seed}: ${title}`, async () => {
      expect((await run({ seed })).violation).toBe(null);
    });
  }
});
