// What each effect of the machine writes. Every function adds to a draft and nothing else; the order in which the
// machine names them is the order of the events.

import type { Draft } from './draft.ts';
import { CALL_EFFECTS } from './effects/calls.ts';
import { COMPACTION_EFFECTS } from './effects/compaction.ts';
import type { Effect, EffectInput } from './effects/input.ts';
import { EDIT_EFFECTS } from './effects/edits.ts';
import { QUEUE_EFFECTS } from './effects/queue.ts';
import { RECOVERY_EFFECTS } from './effects/recovery.ts';
import { TURN_EFFECTS } from './effects/turn.ts';
import type { EffectName } from './effect-names.ts';

/** The compiler holds it complete: each effect is in the file of its topic. */
const EFFECTS: Readonly<Record<EffectName, Effect>> = {
  ...TURN_EFFECTS,
  ...QUEUE_EFFECTS,
  ...EDIT_EFFECTS,
  ...CALL_EFFECTS,
  ...COMPACTION_EFFECTS,
  ...RECOVERY_EFFECTS,
};

export function applyEffect(name: EffectName, draft: Draft, input: EffectInput): void {
  EFFECTS[name](draft, input);
}
