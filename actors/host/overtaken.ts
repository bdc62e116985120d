// Actors whose epoch is over and that have not heard of it: another node has archived their chat with its tree, and the
// hint was lost. One that commits finds out by itself, one that is only read from would show the past for ever.

import type { ChatActor } from '../chat/actor.ts';
import type { ChatStore } from '../ports.ts';

/** In one statement; there may be as many as a node has residents. */
const AT_ONCE = 1_000;

/** Ends those of the actors that storage does not know any more. What it cannot tell now the next look will. */
export async function endOvertaken(store: Pick<ChatStore, 'overtaken'>, actors: Iterable<ChatActor>): Promise<void> {
  const read = [...actors].filter(({ atRest, streamLog }) => atRest && streamLog.followers > 0);
  for (let from = 0; from < read.length; from += AT_ONCE) {
    const some = read.slice(from, from + AT_ONCE);
    const overtaken = await store.overtaken(some.map(({ chat, epoch }) => ({ chat, epoch })));
    if (overtaken.outcome === 'unavailable') return;
    const ended = new Set(overtaken.value);
    for (const actor of some) if (ended.has(actor.chat) && actor.ended === null) actor.end('stale');
  }
}
