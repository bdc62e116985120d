// What a history can break, and where it was found.

import type { ChatId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { formatPosition } from '../../protocol/position.ts';

/** The rules by their letters, as README and adr name them. */
export const RULES = {
  a: 'each acknowledged command took effect exactly once, others at most once (P3)',
  b: 'each log is contiguous, positions never go back, the state equals that of a fresh attach (P2, P4, P5)',
  c: 'one writer per epoch, epochs never go back (P1)',
  d: 'streamed text equals the committed text byte for byte, or was retracted (P5)',
  e: 'after the faults stop every chat answers in time (P12)',
} as const;

export type Rule = keyof typeof RULES;

export type Place = {
  readonly chat: ChatId | null;
  readonly client: string | null;
  readonly position: Position | null;
};

export type Violation = Place & {
  readonly rule: Rule;
  /** One sentence. */
  readonly what: string;
};

/** Takes violations. The first of them are kept: the later ones follow from them more often than not. */
export type Report = (rule: Rule, place: Place, what: string) => void;

export const NOWHERE: Place = { chat: null, client: null, position: null };

export function formatViolation({ rule, chat, client, position, what }: Violation): string {
  const where = [
    ...(chat === null ? [] : [`chat ${chat}`]),
    ...(client === null ? [] : [`client ${client}`]),
    ...(position === null ? [] : [`at ${formatPosition(position)}`]),
  ].join(', ');
  return `(${rule}) ${where === '' ? '' : `${where}: `}${what}`;
}
