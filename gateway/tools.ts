// The tools of this node, as its configuration has them.

import type { Clock, Log, Random } from '../actors/ports.ts';
import { BUILTIN_TOOLS } from '../actors/tools/builtin.ts';
import { LocalToolRunner } from '../actors/tools/runner.ts';
import type { Config } from './config.ts';

export function openTools(
  config: Config,
  parts: { readonly clock: Clock; readonly random: Random; readonly log: Log },
): LocalToolRunner {
  return new LocalToolRunner({
    ...parts,
    tools: BUILTIN_TOOLS.filter(({ name }) => config.tools.includes(name)),
    bounds: { perChat: config.toolsPerChatMax, perNode: config.toolsRunningMax },
  });
}
