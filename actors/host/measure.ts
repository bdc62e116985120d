// What the actors of a node are at and hold, at the moment of asking.

import type { ChatActor } from '../chat/actor.ts';
import type { LifeState } from '../chat/machine.ts';

export type ActorsMeasure = {
  readonly states: Readonly<Record<LifeState, number>>;
  /** Registrations with the stream logs, over all actors. */
  readonly followers: number;
  readonly ringEvents: number;
  readonly ringBytes: number;
  /** Messages that wait behind running turns. */
  readonly queuedMessages: number;
  /** Tasks that wait in mailboxes: over all actors, and in the fullest. */
  readonly mailboxTasks: number;
  readonly mailboxTasksMax: number;
  /** Chats that wait to be loaded. */
  readonly activationsWaiting: number;
  /** Chats that wait to be loaded anew after their actor ended under way. */
  readonly revivals: number;
  /** Calls of tools that run, and that wait in line for a place. */
  readonly toolsRunning: number;
  readonly toolsWaiting: number;
};

export function measureActors(
  actors: Iterable<ChatActor>,
  waiting: Pick<ActorsMeasure, 'activationsWaiting' | 'revivals' | 'toolsRunning' | 'toolsWaiting'>,
): ActorsMeasure {
  const states: Record<LifeState, number> = {
    hydrating: 0,
    idle: 0,
    failed: 0,
    requesting: 0,
    streaming: 0,
    tools: 0,
    awaitingAction: 0,
    compacting: 0,
    backingOff: 0,
    between: 0,
    stopping: 0,
    passivating: 0,
    fenced: 0,
  };
  const sum = { followers: 0, ringEvents: 0, ringBytes: 0, queuedMessages: 0, mailboxTasks: 0, mailboxTasksMax: 0 };
  for (const actor of actors) {
    const { ring, followers } = actor.streamLog;
    states[actor.life] += 1;
    sum.followers += followers;
    sum.ringEvents += ring.events;
    sum.ringBytes += ring.bytes;
    sum.queuedMessages += actor.state.queue.length;
    sum.mailboxTasks += actor.mailboxTasks;
    sum.mailboxTasksMax = Math.max(sum.mailboxTasksMax, actor.mailboxTasks);
  }
  return { states, ...sum, ...waiting };
}
