// A node as `npm start` runs it, `gateway/main.ts` and all, that in addition says what it costs.

import { Session } from 'node:inspector/promises';
import type { CpuProfile } from './profile.ts';
import { serve } from './child.ts';
import { memory } from './resident.ts';

const inspector = new Session();

serve({
  cpuMs: () => cpuMs(),
  memory,
  startProfile: async () => {
    inspector.connect();
    await inspector.post('Profiler.enable');
    await inspector.post('Profiler.start');
  },
  stopProfile: async (): Promise<CpuProfile> => {
    const { profile } = await inspector.post('Profiler.stop');
    inspector.disconnect();
    return profile;
  },
});

await import('../../../gateway/main.ts');

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
