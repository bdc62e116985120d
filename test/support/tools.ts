// The tools that come with the server, with room for all of them: for hosts that tests put together.

import type { Clock, Log, Random } from '../../actors/ports.ts';
import { BUILTIN_TOOLS } from '../../actors/tools/builtin.ts';
import { LocalToolRunner } from '../../actors/tools/runner.ts';
import { TOOL_BOUNDS } from '../../actors/tools/slots.ts';
import type { Tool } from '../../actors/tools/tool.ts';

export type Surroundings = { readonly clock: Clock; readonly random: Random; readonly log: Log };

export function builtinTools(parts: Surroundings): LocalToolRunner {
  return toolRunner(parts, BUILTIN_TOOLS);
}

export function toolRunner(parts: Surroundings, tools: readonly Tool[]): LocalToolRunner {
  return new LocalToolRunner({ ...parts, tools, bounds: TOOL_BOUNDS });
}
