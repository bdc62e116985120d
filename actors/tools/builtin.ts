// The tools that come with the server, by name.

import { CALCULATOR } from './calculator.ts';
import { CLOCK } from './clock.ts';
import { RISKY, SLOW } from './slow.ts';
import type { Tool } from './tool.ts';

export const BUILTIN_TOOLS: readonly Tool[] = [CALCULATOR, CLOCK, RISKY, SLOW];

export const BUILTIN_NAMES: readonly string[] = BUILTIN_TOOLS.map(({ name }) => name);
