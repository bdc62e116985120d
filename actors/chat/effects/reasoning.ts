// A provider that does not take its own reasoning back gets the chat without it, from then on: what was shown goes in its
// place, and the prompt is another one from its beginning on.

import type { Draft } from '../draft.ts';

/** Every message so far; what comes later is signed by whoever answers then. */
export function dropReasoning(draft: Draft): void {
  draft.change({ reasoningFrom: draft.state.nextNumber });
  draft.push({ kind: 'fork', reason: 'reasoning' });
}
