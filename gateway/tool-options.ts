// The options of the agent loop: which tools run here, how many at once, how long a call waits, how many steps a turn has.

import { BUILTIN_NAMES } from '../actors/tools/builtin.ts';
import { list, option, whole } from './option-schemas.ts';

const UNKNOWN_TOOL = `must be names of built-in tools, separated by commas: ${BUILTIN_NAMES.join(', ')}`;

const tools = list.refine((names) => names.every((name) => BUILTIN_NAMES.includes(name)), UNKNOWN_TOOL);

export const TOOL_OPTIONS = {
  tools: option({
    env: 'PARLEY_TOOLS',
    unit: 'list',
    default: BUILTIN_NAMES.join(','),
    doc: 'Built-in tools that models may call. They are for tests and for play; a comma alone: none.',
    schema: tools,
  }),
  toolsRunningMax: option({
    env: 'PARLEY_TOOLS_RUNNING_MAX',
    unit: 'calls',
    default: '256',
    doc: 'Calls of tools that run at once on this node. More: they wait in line.',
    schema: whole(1, 100_000),
  }),
  toolsPerChatMax: option({
    env: 'PARLEY_TOOLS_PER_CHAT_MAX',
    unit: 'calls',
    default: '16',
    doc: 'Calls of tools of one chat that run at once. More: they wait in line.',
    schema: whole(1, 1_000),
  }),
  stepsMax: option({
    env: 'PARLEY_STEPS_MAX',
    unit: 'steps',
    default: '200',
    doc: 'Model requests of one turn that may call tools; then the model is asked once more, without, and the turn ends as step_limit.',
    schema: whole(1, 10_000),
  }),
  clientDeadlineMs: option({
    env: 'PARLEY_CLIENT_DEADLINE_MS',
    unit: 'ms',
    default: '300000',
    doc: "How long a call of a client's tool waits for its result before it times out.",
    schema: whole(100, 86_400_000),
  }),
  approvalDeadlineMs: option({
    env: 'PARLEY_APPROVAL_DEADLINE_MS',
    unit: 'ms',
    default: '1800000',
    doc: 'How long a call waits to be allowed before it times out.',
    schema: whole(100, 604_800_000),
  }),
};
