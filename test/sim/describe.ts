// Messages and store calls in a few words, for the trace. Called only when somebody reads it.

import type { CommitIntent } from '../../actors/ports.ts';
import { decodeClientMessage, decodeServerMessage, type IncomingClientFrame } from '../../protocol/codec.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import { formatPosition } from '../../protocol/position.ts';

export function describeMessage(way: 'up' | 'down', bytes: Uint8Array): string {
  return way === 'up'
    ? decodeClientMessage(bytes).frames.map(describeClientFrame).join(', ')
    : decodeServerMessage(bytes).map(describeServerFrame).join(', ');
}

function describeClientFrame(frame: IncomingClientFrame): string {
  switch (frame.op) {
    case 'attach':
      return `attach ${short(frame.chat)} at ${frame.cursor === null ? 'none' : formatPosition(frame.cursor)}`;
    case 'command':
      return `#${frame.request} ${frame.name} ${short(frame.id)}`;
    case 'query':
      return `#${frame.request} ${frame.name}`;
    default:
      return frame.op;
  }
}

function describeServerFrame(frame: ServerFrame): string {
  switch (frame.op) {
    case 'reply':
      return `#${frame.request} ${frame.error?.code ?? 'ok'}`;
    case 'attached':
      return `${frame.outcome} ${short(frame.chat)}${frame.position === null ? '' : ` ${formatPosition(frame.position)}`}`;
    case 'event': {
      const { event, span, position } = frame;
      const type = 'type' in event ? ` ${event.type}` : '';
      return `${short(frame.chat)} ${formatPosition(position)}${span > 1 ? `-${span}` : ''} ${event.kind}${type}`;
    }
    case 'refused':
      return `refused ${short(frame.chat)} ${frame.error.code}`;
    default:
      return frame.op;
  }
}

export function describeIntent(intent: CommitIntent): string {
  const { chat, epoch, patch, messages, commands, attemptsOpened, attemptsSettled, journal } = intent;
  const parts = [
    `commit ${short(chat)} in ${epoch}`,
    ...commands.map(({ name, id }) => `${name} ${short(id)}`),
    ...messages.map(({ number, role }) => `${role} ${number}`),
    ...attemptsSettled.map(({ outcome }) => `settles ${outcome}`),
    ...attemptsOpened.map(({ step, attempt }) => `opens ${step}.${attempt}`),
    ...(journal.length > 0 ? ['journal'] : []),
    ...(patch.turn === null ? ['ends the turn'] : []),
    ...(patch.status === undefined ? [] : [patch.status]),
  ];
  return parts.join(', ');
}

/** Ids that were made close together differ at their end. */
export function short(id: string): string {
  return id.slice(-6);
}
