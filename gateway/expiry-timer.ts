// When a session's credential is over for good: its end plus a grace, at whole seconds, so that sessions share timers.

import type { Clock } from '../actors/ports.ts';
import { GATEWAY_LIMITS } from './limits.ts';

/** Node's timers fire at once beyond 2^31 ms: a later end is looked at again each day. */
const DAY_MS = 24 * 60 * 60 * 1000;

/** Runs `onOver` once it is `graceMs` past `expiresAtMs`, never within this call; the function returned takes that back. */
export function armExpiry(
  clock: Clock,
  { expiresAtMs, graceMs }: { readonly expiresAtMs: number; readonly graceMs: number },
  onOver: () => void,
): () => void {
  const granularity = GATEWAY_LIMITS.expiryGranularityMs;
  let cancel = (): void => {};
  const arm = (): void => {
    const leftMs = Math.max(0, expiresAtMs + graceMs - clock.nowMs());
    const delayMs = Math.min(Math.ceil(leftMs / granularity) * granularity, DAY_MS);
    cancel = clock.after(delayMs, () => {
      if (clock.nowMs() < expiresAtMs + graceMs) arm();
      else onOver();
    });
  };
  arm();
  return () => cancel();
}
