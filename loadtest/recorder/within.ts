// Waiting for something that may never come.

import { SYSTEM_CLOCK } from '../../protocol/client/environment.ts';

/** Resolves when `work` has ended, or after that time. No timer is left behind. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let cancel = (): void => {};
  const late = new Promise<void>((resolve) => {
    cancel = SYSTEM_CLOCK.after(ms, resolve);
  });
  await Promise.race([work, late]).finally(() => cancel());
}
