// The time, for models: they know none.

import { z } from 'zod';
import { defineTool } from './tool.ts';

export const CLOCK = defineTool({
  name: 'clock',
  description: 'The present time, as ISO 8601 in UTC.',
  args: z.strictObject({}),
  timeoutMs: 1_000,
  readOnly: true,
  run: async (_args, { clock }) => ({ text: new Date(clock.nowMs()).toISOString() }),
});
