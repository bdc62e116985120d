import { expect, test } from 'vitest';
import type { ChatHost } from '../../actors/host/api.ts';
import type { Tracer } from '../../actors/tracing.ts';
import { CountedHost } from '../../gateway/counted-host.ts';
import { GatewayCounts } from '../../gateway/counts.ts';
import type { CommandId, OwnerId } from '../../protocol/ids.ts';

test('[metrics] a command that throws is counted, and its span ends', async () => {
  const ended: string[] = [];
  const tracer: Tracer = {
    begin: () => ({ at: null, end: (outcome, isFault) => void ended.push(`${outcome} ${String(isFault)}`) }),
  };
  const bug = (): never => {
    throw new Error('a bug');
  };
  const host: ChatHost = {
    command: () => Promise.reject(new Error('a bug')),
    attach: bug,
    query: bug,
  };
  const counts = new GatewayCounts();
  const id = '018f0000-0000-7000-8000-000000000001' as CommandId;
  const principal = { owner: 'o' as OwnerId, role: 'member', groups: [] } as const;
  const args = { id, name: 'chat.send', args: {}, rawArgs: new Uint8Array() };
  await expect(new CountedHost(host, counts, tracer).command(principal, args)).rejects.toThrow('a bug');
  expect(ended).toEqual(['internal true']);
  expect(counts.commands.get('chat.send internal')).toBe(1);
});
