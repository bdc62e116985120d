// An attachment whose session ends while it tells the client where it stands.

import { expect, test } from 'vitest';
import { Attachment, type AttachmentOwner } from '../../gateway/attachment.ts';
import { GatewayCounts } from '../../gateway/counts.ts';
import { SnapshotPlaces } from '../../gateway/snapshot-places.ts';
import { SimClock } from '../sim/clock.ts';
import { SimRandom } from '../sim/random.ts';
import { FakeHost, position } from './support/fake-host.ts';
import { CHAT } from './support/harness.ts';

test('[P11] a session that is full ends with what it says, and lets go of the log: the chat can leave memory', async () => {
  const host = new FakeHost();
  const log = host.log(CHAT);
  log.append('a');
  const fills: Attachment[] = [];
  const owner: AttachmentOwner = {
    host,
    clock: new SimClock(0),
    random: new SimRandom(1),
    counts: new GatewayCounts(),
    places: new SnapshotPlaces(),
    principal: () =>
      ({ owner: 'ann', role: 'member', groups: [] }) as unknown as ReturnType<AttachmentOwner['principal']>,
    // As a session does whose client takes nothing.
    control: () => attachment.stop(),
    ready: (one) => void fills.push(one),
    over: () => undefined,
    crash: (error) => {
      throw error;
    },
  };
  const attachment = new Attachment(CHAT, position(1, 1), owner);
  attachment.start();
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
  expect(host.attaches).toHaveLength(1);
  expect(log.followers.size).toBe(0);
  expect(host.detached).toBe(1);
  expect(fills).toEqual([]);
});
