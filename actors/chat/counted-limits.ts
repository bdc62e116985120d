// The names of the limits that actors and their host count (P11).

import type { WireLimit } from '../../protocol/limits.ts';
import type { HOST_LIMITS, HostSettings } from '../host/settings.ts';
import type { CHAT_LIMITS } from './settings.ts';

/** The limits that are reached in actors and their host; each is counted where what happens then happens. */
export const ACTOR_LIMITS = [
  'titleChars',
  'labels',
  'labelKeyBytes',
  'labelValueBytes',
  'systemPromptChars',
  'partsPerMessage',
  'queuedMessages',
  'queuedBytes',
  'ringBytes',
  'ringEvents',
  'cachedReads',
  'stepBytes',
  'rememberedCommands',
  'mailbox',
  'commitTries',
  'recoveriesMax',
  'activationsWaiting',
  'triesMax',
  'crashesMax',
  'crashedChats',
  'residentMax',
  'drainMs',
] as const satisfies readonly (WireLimit | keyof typeof CHAT_LIMITS | keyof typeof HOST_LIMITS | keyof HostSettings)[];
export type ActorLimit = (typeof ACTOR_LIMITS)[number];
