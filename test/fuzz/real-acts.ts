// What may happen on a node: as on the simulation, but that what the model does is asked for by what is sent.

import fc from 'fast-check';
import type { Act, ActName } from './acts.ts';

export const REAL_ACTS = [
  'send',
  'send',
  'send',
  'interrupt',
  'steer',
  'reject',
  'edit',
  'retry',
  'clear',
  'model',
  'fork',
  'hold',
  'release',
  'rewrite',
  'reorder',
  'promote',
  'delete',
  'stop',
  'compact',
  'approve',
  'approve',
  'always',
  'deny',
  'misapprove',
  'result',
  'result',
  'failedResult',
  'twoDevices',
  'late',
  'wait',
  'wait',
  'wait',
  'crash',
] as const satisfies readonly ActName[];

export type RealActName = (typeof REAL_ACTS)[number];
export type RealAct = Act & { readonly what: RealActName };

export const REAL_SEQUENCES: fc.Arbitrary<readonly RealAct[]> = fc.array(
  fc.record({ what: fc.constantFrom(...REAL_ACTS), pick: fc.nat(50) }),
  { minLength: 6, maxLength: 16, size: 'max' },
);

/** What the model servers are asked to do, in their own words. */
export const DIRECTIVES = [
  'tokens=5',
  'tokens=40 pace=3ms',
  'tokens=3 call=clock args="{}"',
  'call=pick_color args="{}"',
  'tokens=2 call=risky args="{\\"what\\":\\"it\\"}"',
  'call=slow args="{\\"ms\\":150}" steps=2',
  'tokens=2 calls=3',
  'tokens=5 fail=503',
  'tokens=6 fail=cut@2',
  'call=slow args="{\\"ms\\":0,\\"fail\\":true}"',
  'tokens=5 fail=close@2',
  'call=calculator args="{\\"expression\\":"',
  'thinking=5 tokens=4 call=clock args="{}" steps=3',
  'tokens=30 pace=20ms',
  'call=slow args="{\\"ms\\":3000}"',
] as const;
