// A tool that takes its time, for tests and for play: it shows what tools that run for long look like.

import { z } from 'zod';
import { defineTool } from './tool.ts';

const WAIT_MAX_MS = 60_000;
const REPEAT_MAX = 1_000_000;

const ARGS = z.strictObject({
  ms: z.int().min(0).max(WAIT_MAX_MS).default(1_000).describe('How long it takes, in milliseconds.'),
  text: z.string().default('done').describe('What it gives.'),
  repeat: z.int().min(1).max(REPEAT_MAX).default(1).describe('How often it gives the text.'),
  fail: z.boolean().default(false).describe('Whether it crashes at the end.'),
});

export const SLOW = defineTool({
  name: 'slow',
  description: 'Waits for a while, then gives a text back. Shows its progress.',
  args: ARGS,
  timeoutMs: WAIT_MAX_MS + 5_000,
  idempotent: true,
  run: async ({ ms, text, repeat, fail }, { clock, sink, signal }) => {
    sink.progress(`waiting ${ms} ms\n`);
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, resolve);
      signal.addEventListener('abort', () => {
        cancel();
        resolve();
      });
    });
    if (fail) throw new Error('asked to fail');
    return { text: text.repeat(repeat) };
  },
});

/** As `slow`, but with an effect, so that it asks first and nobody runs it twice. */
export const RISKY = defineTool({
  name: 'risky',
  description: 'Does something that cannot be undone, after the user has allowed it. Takes as long as it is told.',
  args: z.strictObject({
    what: z.string().describe('What to do.'),
    ms: z.int().min(0).max(WAIT_MAX_MS).default(0).describe('How long it takes, in milliseconds.'),
  }),
  timeoutMs: WAIT_MAX_MS + 5_000,
  exclusive: true,
  needsApproval: true,
  run: ({ what, ms }, { clock, signal }) =>
    new Promise((resolve) => {
      const cancel = clock.after(ms, () => resolve({ text: `did ${what}` }));
      signal.addEventListener('abort', cancel);
    }),
});
