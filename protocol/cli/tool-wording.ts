// Calls of tools in words for a person.
import type { Action as Waiting, CallName, Message, ToolStatus } from '../content.ts';
import { sanitizeLine, visibleText } from './sanitize.ts';
import { formatDelay, type Line } from './wording.ts';

/** A name that somebody made up stays short. */
const NAME_CHARS_MAX = 40;
/** What is to be approved is shown whole, up to this: more, and it is said how much is missing. */
const ARGUMENTS_CHARS_MAX = 4_000;

const STATUSES: Readonly<
  Record<ToolStatus, { readonly tone: Line['tone']; readonly says: (label: string) => string }>
> = {
  ok: { tone: 'dim', says: (label) => `✓ ${label}` },
  error: { tone: 'note', says: (label) => `✗ ${label} failed` },
  denied: { tone: 'note', says: (label) => `✗ ${label} was denied` },
  timeout: { tone: 'note', says: (label) => `✗ ${label} timed out` },
  interrupted: { tone: 'note', says: (label) => `✗ ${label} was interrupted` },
  unknown: { tone: 'note', says: (label) => `✗ ${label} was lost with its node: it may have run` },
};

/** The calls of one step, in the order in which the model wrote them. */
export type StepCalls = readonly CallName[];

/** The calls of the message of that step. */
export function callsOfMessage(message: Message | undefined): StepCalls {
  return (message?.parts ?? []).flatMap((part) =>
    part.type === 'tool_call' ? [{ call: part.call, name: part.name }] : [],
  );
}

/** `clock`; of several calls of one tool in a step the second is `clock#2`. */
export function labelOf(calls: StepCalls, call: string): string {
  const at = calls.findIndex((one) => one.call === call);
  const name = calls[at]?.name;
  if (name === undefined) return shortName(call);
  const same = calls.slice(0, at + 1).filter((one) => one.name === name).length;
  return same === 1 ? shortName(name) : `${shortName(name)}#${same}`;
}

/** `✓ clock · 0.1 s`; the time is that from the call to its result, waiting included. */
export function describeSettled(label: string, status: ToolStatus, tookMs: number | null): Line {
  const { tone, says } = STATUSES[status];
  return { tone, text: says(label) + (tookMs === null ? '' : ` · ${formatDelay(Math.max(0, tookMs))}`) };
}

/** How an approval is asked for; `place` is what it is answered by, null when it is the only one. */
export function describeApproval(waiting: Waiting, label: string, place: number | null): readonly Line[] {
  const args = shownArguments(waiting.args);
  const shown = args.slice(0, ARGUMENTS_CHARS_MAX);
  const missing = args.length - shown.length;
  const number = place === null ? '' : ` ${place}`;
  return [
    { tone: 'note', text: `? ${label} asks for your approval, until ${timeOfDay(waiting.deadline_at)}:` },
    { tone: 'plain', text: `  ${shown}` },
    ...(missing === 0 ? [] : [{ tone: 'note' as const, text: `  … ${missing} characters more` }]),
    {
      tone: 'dim',
      text: `  /approve${number} · /approve${number} always (in this chat) · /deny${number} · a message instead denies it`,
    },
  ];
}

/** A tool of a client's that is none of this one's. */
export function describeElsewhere({ deadline_at }: Waiting, label: string): Line {
  return { tone: 'dim', text: `${label} waits for the client that runs it, until ${timeOfDay(deadline_at)}` };
}

/** The arguments for whoever is to judge them: nothing of them is hidden. */
export function shownArguments(args: string): string {
  // Between its strings JSON means the same without ends of lines, and inside of them it has none.
  return visibleText(args.replaceAll(/[\n\r\t]+/g, ' '));
}

/** The arguments on one row. */
export function oneLine(args: string): string {
  return sanitizeLine(args.slice(0, ARGUMENTS_CHARS_MAX));
}

/** `05:48:08` where the person is. */
function timeOfDay(unixMs: number): string {
  return new Date(unixMs).toTimeString().slice(0, 8);
}

export function shortName(name: string): string {
  const text = sanitizeLine(name);
  return text.length > NAME_CHARS_MAX ? `${text.slice(0, NAME_CHARS_MAX)}…` : text;
}
