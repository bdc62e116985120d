// The tools that come with the server, with room for all of them: for hosts that tests put together.

import type { Clock, Log, Random } from '../../actors/ports.ts';
import { BUILTIN_TOOLS } from '../../actors/tools/builtin.ts';
import { LocalToolRunner } from '../../actors/tools/runner.ts';
import { TOOL_BOUNDS } from '../../actors/tools/slots.ts';

export function builtinTools(parts: {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}): LocalToolRunner {
  return new LocalToolRunner({ ...parts, tools: BUILTIN_TOOLS, bounds: TOOL_BOUNDS });
}
