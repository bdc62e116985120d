// What waits behind the turn, as it changes: what came, and what somebody edits. Pure, like render.ts.
import type { QueuedMessage } from '../content.ts';
import type { Action } from './action.ts';
import { messageText } from './message-text.ts';
import { sanitizeLine } from './sanitize.ts';

/** Of a message that waits. */
const SHOWN_CHARS = 40;

export function renderQueue(
  shown: readonly QueuedMessage[],
  queue: readonly QueuedMessage[],
  typed: ReadonlySet<string>,
  actions: Action[],
): void {
  const before = new Map(shown.map((item) => [item.id, item]));
  for (const item of queue) {
    const known = before.get(item.id);
    if (known === undefined) say(describeNew(item, queue.length, typed.has(item.id)), actions);
    else if (known.held_until === undefined && item.held_until !== undefined) say(`held: ${begins(item)}`, actions);
    else if (known.held_until !== undefined && item.held_until === undefined) say(`goes on: ${begins(item)}`, actions);
  }
}

function describeNew(item: QueuedMessage, waiting: number, isTyped: boolean): string {
  const what = item.steer === true ? 'steering' : 'queued';
  const place = waiting === 1 ? 'it goes to the model after this turn' : `${waiting} are waiting`;
  const when = item.steer === true ? 'it goes to the model at its next step' : place;
  return `${isTyped ? what : `${what} from elsewhere`}: ${when}`;
}

function begins(item: QueuedMessage): string {
  const text = sanitizeLine(messageText(item));
  return `“${text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text}”`;
}

function say(text: string, actions: Action[]): void {
  actions.push({ kind: 'line', tone: 'dim', text });
}
