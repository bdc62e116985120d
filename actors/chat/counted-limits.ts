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
  'clientTools',
  'toolNameBytes',
  'toolDescriptionBytes',
  'toolSchemaBytes',
  'toolsBytes',
  'queuedMessages',
  'queuedBytes',
  'queueHoldMs',
  'stepBytes',
  'mailbox',
  'commitTries',
  'recoveriesMax',
  'activationsWaiting',
  'triesMax',
  'crashesMax',
  'crashedChats',
  'residentMax',
  'heapHeld',
  'drainMs',
] as const satisfies readonly (WireLimit | keyof typeof CHAT_LIMITS | keyof typeof HOST_LIMITS | keyof HostSettings)[];
export type ActorLimit = (typeof ACTOR_LIMITS)[number];

/**
 * The limits at which the oldest leaves memory for the newest. That is their ordinary work, nothing is refused or lost by
 * it: among the others they would hide that something is.
 */
export const EVICTION_LIMITS = [
  'ringBytes',
  'ringEvents',
  'ringsBytes',
  'rememberedCommands',
] as const satisfies readonly (keyof typeof CHAT_LIMITS | keyof typeof HOST_LIMITS)[];
export type EvictionLimit = (typeof EVICTION_LIMITS)[number];
