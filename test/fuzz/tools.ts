// The tools of a play: those of the server, one that never answers, and one that clients run.

import { z } from 'zod';
import { BUILTIN_TOOLS } from '../../actors/tools/builtin.ts';
import { defineTool } from '../../actors/tools/tool.ts';

const STUCK = defineTool({
  name: 'stuck',
  description: 'Never answers.',
  args: z.strictObject({}),
  timeoutMs: 5_000,
  run: () => new Promise(() => undefined),
});

export const FUZZ_TOOLS = [...BUILTIN_TOOLS, STUCK];

export const CLIENT_TOOL = { name: 'pick_color', description: 'Asks for a color.', schema: '{"type":"object"}' };

/** What the model may call, the wrong ways too: `[name, arguments]`. */
export const CALLS: readonly (readonly [string, string])[] = [
  ['clock', '{}'],
  ['pick_color', '{}'],
  ['risky', '{"what":"it"}'],
  ['calculator', '{"expression":"6*7"}'],
  ['slow', '{"ms":300}'],
  ['calculator', '{"expression":'],
  ['risky', '{"what":"more","ms":400}'],
  ['slow', '{"ms":0,"fail":true}'],
  ['nonsense', '{}'],
  ['stuck', '{}'],
  ['slow', '{"ms":20000}'],
];
