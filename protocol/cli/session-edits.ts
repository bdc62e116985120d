// What the commands of `slash-edits.ts` do.
import type { CommandId, Message, QueueChange } from '../client/index.ts';
import { unreachable } from '../assert.ts';
import { Failure } from './connect.ts';
import { messageText } from './message-text.ts';
import { sanitizeLine } from './sanitize.ts';
import { type CommandHost, open } from './command-host.ts';
import type { EditInput, QueueInput } from './slash-edits.ts';
import { formatDelay } from './wording.ts';

/** Of a message that waits, in a list. */
const SHOWN_CHARS = 70;

export async function runEdit(session: CommandHost, input: EditInput): Promise<void> {
  const { client, handle } = session;
  switch (input.kind) {
    case 'edit': {
      const number = input.number ?? last(session, ({ role }) => role === 'user');
      return session.ask((id) => client.edit(handle.id, { number, text: input.text }, { id }));
    }
    case 'retry':
      return session.ask((id) => client.retry(handle.id, { id }));
    case 'fork': {
      const { chat } = await handle.fork({ number: input.number ?? last(session, () => true) });
      return open(session, chat.id);
    }
    case 'clear':
      await handle.clear();
      return;
    case 'model':
      return input.model === null ? listModels(session) : setModel(session, input.model);
    case 'queue':
      return runQueue(session, input.what);
    default:
      return unreachable(input);
  }
}

/** The number of the last message that fits. */
function last({ handle }: CommandHost, fits: (message: Message) => boolean): number {
  const message = handle.state.messages.findLast(fits);
  if (message === undefined) throw new Failure('There is no such message yet. /history shows their numbers.');
  return message.number;
}

async function setModel(session: CommandHost, model: string): Promise<void> {
  const chat = await session.handle.setModel(model);
  session.say('dim', `model: ${sanitizeLine(chat.model)}, from the next turn on`);
}

async function listModels(session: CommandHost): Promise<void> {
  const current = session.handle.state.chat?.model;
  for (const { id } of await session.client.models()) {
    session.say('plain', `${id === current ? '*' : ' '} ${sanitizeLine(id)}`);
  }
}

async function runQueue(session: CommandHost, input: QueueInput): Promise<void> {
  const { client, handle } = session;
  switch (input.do) {
    case 'show':
      return showQueue(session);
    case 'send': {
      const queued = at(session, input.at);
      return session.ask((id) => client.promote(handle.id, queued, { id }));
    }
    case 'hold': {
      const { heldUntilMs } = await handle.changeQueue({ hold: at(session, input.at) });
      const waitMs = heldUntilMs === null ? 0 : heldUntilMs - Date.now();
      return session.say(
        'dim',
        `held: it goes on as it is in ${formatDelay(Math.max(0, waitMs))}, or with /queue edit`,
      );
    }
    case 'release':
      return change(session, { release: at(session, input.at) });
    case 'edit':
      return change(session, { release: at(session, input.at), text: input.text });
    case 'delete':
      return change(session, { remove: at(session, input.at) });
    case 'order':
      return change(session, { order: input.places.map((place) => at(session, place)) });
    default:
      return unreachable(input);
  }
}

async function change(session: CommandHost, queueChange: QueueChange): Promise<void> {
  const { position } = await session.handle.changeQueue(queueChange);
  await session.handle.reached(position);
  showQueue(session);
}

function showQueue(session: CommandHost): void {
  const { queue } = session.handle.state;
  if (queue.length === 0) return session.say('dim', 'nothing waits');
  for (const [i, { parts, steer, held_until: heldUntil }] of queue.entries()) {
    const text = sanitizeLine(messageText({ parts })).slice(0, SHOWN_CHARS);
    session.say(
      'plain',
      `${i + 1}  ${text}${steer === true ? ' (for this turn)' : ''}${heldUntil === undefined ? '' : ' (held for an edit)'}`,
    );
  }
}

function at({ handle }: CommandHost, place: number): CommandId {
  const item = handle.state.queue[place - 1];
  if (item === undefined) throw new Failure(`Nothing waits at place ${place}. /queue shows what does.`);
  return item.id;
}
