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

const FOUND_IN_CLUSTERS = [
  [659, 'P4, a mirror whose owner gave the chat up while its link was broken asked for the old epoch again and again'],
  [295, 'P4, a mirror whose question was lost on a link that lived stood still for ever'],
  [2321, 'P12, a chat that storage gave to the node that asked was looked for everywhere but there'],
  [3107, 'P2, a snapshot showed what was appended behind its position'],
  [1755, 'P2, a chat that was archived with its tree while another node had it was resumed as if nothing was'],
  [5299, 'P2, a chat that was archived with its tree went on at another node as if it was not'],
  [6643, 'P11, a session that ended as it said that it was resumed left a follower behind for ever'],
  [
    206,
    'P1, the check took an actor whose chat was taken with its tree, and that nobody reads from, for a second owner',
  ],
  [170, 'P12, commands that came between the death of a node and its next incarnation were never answered'],
] as const;

describe('seeds that were red', () => {
  for (const [seed, title] of FOUND) {
    test(`[sim] seed ${seed}: ${title}`, async () => {
      expect((await run({ seed })).violation).toBe(null);
    });
  }

  for (const [seed, title] of FOUND_IN_CLUSTERS) {
    test(`[sim] seed ${seed} of a cluster: ${title}`, async () => {
      expect((await run({ seed, shape: 'cluster' })).violation).toBe(null);
    });
  }
});
