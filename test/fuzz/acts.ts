// What may happen to a chat, and sequences of it: drawn by fast-check, written as text, read back for a replay.

import fc from 'fast-check';

/** How often each one is drawn: what brings chats on more often than what ends them. */
const WEIGHTS = {
  // People.
  send: 6,
  interrupt: 2,
  steer: 3,
  reject: 1,
  edit: 2,
  retry: 2,
  clear: 1,
  model: 2,
  fork: 1,
  switch: 1,
  hold: 2,
  release: 2,
  rewrite: 1,
  reorder: 1,
  promote: 1,
  delete: 1,
  stop: 3,
  compact: 2,
  // Calls that wait for somebody.
  approve: 4,
  always: 1,
  deny: 2,
  misapprove: 1,
  result: 4,
  failedResult: 1,
  twoDevices: 2,
  late: 1,
  // The model.
  stream: 6,
  complete: 6,
  fill: 2,
  call: 16,
  cutCall: 1,
  refuse: 1,
  fail: 2,
  failForGood: 1,
  overflow: 2,
  rejectReasoning: 1,
  breakAdapter: 1,
  nameChat: 2,
  // The world.
  wait: 8,
  look: 2,
  crash: 2,
  crashUnderWay: 2,
  ghost: 2,
  shutDown: 2,
} as const;

export type ActName = keyof typeof WEIGHTS;

export const ACTS = Object.keys(WEIGHTS) as readonly ActName[];

/** `pick` chooses among what there is: messages, calls, tools, times. */
export type Act = { readonly what: ActName; readonly pick: number };

const PICK_MAX = 50;
const ACTS_MIN = 4;
const ACTS_MAX = 40;

const ACT: fc.Arbitrary<Act> = fc.record({
  what: fc.oneof(...ACTS.map((what) => ({ arbitrary: fc.constant(what), weight: WEIGHTS[what] }))),
  pick: fc.nat(PICK_MAX),
});

export const SEQUENCES: fc.Arbitrary<readonly Act[]> = fc.array(ACT, {
  minLength: ACTS_MIN,
  maxLength: ACTS_MAX,
  size: 'max',
});

/** `send:3 call:12 crash:0`. */
export function writeActs(acts: readonly Act[]): string {
  return acts.map(({ what, pick }) => `${what}:${pick}`).join(' ');
}

/** The other way; a sentence when it is no such text. */
export function readActs(text: string): readonly Act[] | string {
  const acts: Act[] = [];
  for (const word of text.split(/\s+/u).filter((part) => part !== '')) {
    const [name = '', pick = ''] = word.split(':');
    const what = ACTS.find((act) => act === name);
    if (what === undefined || !/^\d{1,4}$/u.test(pick)) return `${JSON.stringify(word)} is no act: see --help.`;
    acts.push({ what, pick: Number(pick) });
  }
  return acts.length === 0 ? 'There is no act to play.' : acts;
}
