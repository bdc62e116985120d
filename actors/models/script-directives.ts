// The directives of the scripted model: `/script key=value …`, anywhere in the last user message, up to the end of its
// line; several such lines add up. `scriptHelp` is the grammar in words, for people; this file is its only parser.

import type { ModelErrorKind, StopReason } from '../ports.ts';

/** What a prompt asks of the scripted model. */
export type Script = {
  readonly body: ScriptBody;
  /** Code points per delta; null: a word per delta. */
  readonly size: number | null;
  /** Between two deltas; null: the human pace. */
  readonly paceMs: PaceMs | null;
  /** Null: the hash of the prompt. */
  readonly seed: number | null;
  /** Deltas of reasoning before the text. */
  readonly reasoning: number;
  readonly unicode: boolean;
  readonly fail: { readonly kind: ModelErrorKind; readonly afterDeltas: number } | null;
  readonly silence: { readonly durationMs: number; readonly afterDeltas: number } | null;
  /** `fail` and `silence` happen on attempts 1 to `times` of a step. */
  readonly times: number;
  readonly retryAfterMs: number | null;
  readonly stop: StopReason;
  /** What it calls in each of its first `steps` steps, before it answers. */
  readonly tools: readonly ScriptedCall[];
  readonly steps: number;
};

export type ScriptedCall = { readonly name: string; readonly args: string };

export type PaceMs = { readonly minMs: number; readonly maxMs: number };

export type ScriptBody =
  /** A short answer in markdown that echoes the prompt. */
  | { readonly kind: 'answer' }
  /** `count` deltas of one word each: `word`, or drawn ones when it is null. */
  | { readonly kind: 'deltas'; readonly count: number; readonly word: string | null }
  /** Markdown prose of `count` words. */
  | { readonly kind: 'words'; readonly count: number }
  | { readonly kind: 'exact'; readonly text: string };

export type ParsedScript =
  | { readonly outcome: 'script'; readonly script: Script }
  | { readonly outcome: 'help' }
  /** `fault` is a plain sentence for whoever wrote the directive. */
  | { readonly outcome: 'fault'; readonly fault: string };

/** A reply of 200,000 deltas of 7 bytes is 1.4 MB: beyond what any chat should hold, and still quick to make. */
export const SCRIPT_DELTAS_MAX = 200_000;
const STEPS_MAX = 100_000;
const SIZE_MAX = 4_096;
const DURATION_MAX_MS = 60 * 60 * 1000;

const KINDS = {
  overloaded: true,
  rate_limited: true,
  unavailable: true,
  silent: true,
  cut: true,
  unauthorized: true,
  spend_limit: true,
  bad_request: true,
  invalid_prompt: true,
  reasoning_rejected: true,
  model_not_found: true,
  context_overflow: true,
} as const satisfies Record<ModelErrorKind, true>;

const STOPS = {
  end_turn: true,
  tool_use: true,
  max_tokens: true,
  refusal: true,
  context_overflow: true,
} as const satisfies Record<StopReason, true>;

const PLAIN: Script = {
  body: { kind: 'answer' },
  size: null,
  paceMs: null,
  seed: null,
  reasoning: 0,
  unicode: false,
  fail: null,
  silence: null,
  times: 1,
  retryAfterMs: null,
  stop: 'end_turn',
  tools: [],
  steps: 1,
};

/** The grammar in words: for the README, the terminal client and the reply to a directive that is not understood. */
export function scriptHelp(): string {
  return `The scripted model does as a message says: \`/script key=value …\`, up to the end of the line.

| directive | what it does |
|---|---|
| \`deltas=2000\` | that many deltas of a word each; \`text=word\` repeats that word |
| \`words=500\` | markdown prose of that many words |
| \`say="exact text"\` | exactly that text; inside the quotes \`\\n\`, \`\\"\` and \`\\u00e9\` as in JSON |
| \`size=4\` | characters per delta, instead of a word |
| \`pace=5ms\` | time between deltas; \`pace=20-40ms\` draws it; \`pace=0\` is as fast as possible |
| \`seed=7\` | draws other words; without it the message itself is the seed |
| \`reasoning=3\` | that many deltas of reasoning before the text |
| \`unicode=1\` | words with emoji, CJK and combining marks |
| \`fail=overloaded@100\` | fails after 100 deltas (before the first without \`@\`); kinds: ${Object.keys(KINDS).join(', ')} |
| \`retry-after=2s\` | what the failure asks to wait |
| \`silence=5s@10\` | says nothing for that long after 10 deltas (before the first without \`@\`) |
| \`times=2\` | \`fail\` and \`silence\` happen on the first two attempts (1 by default) |
| \`stop=max_tokens\` | the stop reason: ${Object.keys(STOPS).join(', ')} |
| \`tool=clock:{}\` | calls that tool with those arguments (raw JSON without blanks; \`{}\` when left out) before it answers; several in one step |
| \`steps=3\` | calls them in each of the first three steps (1 by default) |
| \`help\` | this table |

\`deltas\`, \`words\` and \`say\` exclude each other. Durations are \`5ms\`, \`2s\`, \`1m\` or plain milliseconds.
`;
}

/** Reads the directives of a prompt. A prompt without any gives the plain script: an answer at a human pace. */
export function parseScript(prompt: string): ParsedScript {
  const words: string[] = [];
  for (const line of prompt.matchAll(/(?:^|\s)\/script(?![^\s])([^\n]*)/gu)) {
    for (const word of (line[1] ?? '').match(/(?:[^\s"]+|"(?:[^"\\]|\\.)*"?)+/gu) ?? []) words.push(word);
  }
  let script = PLAIN;
  let body: string | null = null;
  for (const word of words) {
    if (word === 'help') return { outcome: 'help' };
    const at = word.indexOf('=');
    const key = at < 0 ? word : word.slice(0, at);
    const reader = READERS.get(key);
    if (at < 0 || reader === undefined) return { outcome: 'fault', fault: `I do not know the directive \`${word}\`.` };
    const change = reader(word.slice(at + 1), script);
    if (change === null) return { outcome: 'fault', fault: `I cannot read the value in \`${word}\`.` };
    if (change.body !== undefined && key !== 'text') {
      if (body !== null) return { outcome: 'fault', fault: `\`${body}\` and \`${key}\` exclude each other.` };
      body = key;
    }
    script = { ...script, ...change };
  }
  return { outcome: 'script', script };
}

type Reader = (value: string, script: Script) => Partial<Script> | null;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    'deltas',
    (value, script) => {
      const count = parseCount(value, SCRIPT_DELTAS_MAX);
      const word = script.body.kind === 'deltas' ? script.body.word : null;
      return count === null ? null : { body: { kind: 'deltas', count, word } };
    },
  ],
  [
    'text',
    (value, script) => {
      const word = parseText(value);
      if (word === null || word === '') return null;
      return { body: { kind: 'deltas', count: script.body.kind === 'deltas' ? script.body.count : 1, word } };
    },
  ],
  ['words', (value) => mapped(parseCount(value, SCRIPT_DELTAS_MAX), (count) => ({ body: { kind: 'words', count } }))],
  ['say', (value) => mapped(parseText(value), (text) => ({ body: { kind: 'exact', text } }))],
  ['size', (value) => mapped(parseCount(value, SIZE_MAX), (size) => (size === 0 ? null : { size }))],
  ['pace', (value) => mapped(parsePace(value), (paceMs) => ({ paceMs }))],
  ['seed', (value) => mapped(parseCount(value, 2 ** 32 - 1), (seed) => ({ seed }))],
  ['reasoning', (value) => mapped(parseCount(value, SCRIPT_DELTAS_MAX), (reasoning) => ({ reasoning }))],
  ['unicode', (value) => (value === '1' || value === '0' ? { unicode: value === '1' } : null)],
  [
    'fail',
    (value) =>
      mapped(parseAfter(value), ({ head, afterDeltas }) =>
        isKey(KINDS, head) ? { fail: { kind: head, afterDeltas } } : null,
      ),
  ],
  [
    'silence',
    (value) =>
      mapped(parseAfter(value), ({ head, afterDeltas }) =>
        mapped(parseDurationMs(head), (durationMs) => ({ silence: { durationMs, afterDeltas } })),
      ),
  ],
  ['times', (value) => mapped(parseCount(value, 1_000_000), (times) => ({ times }))],
  ['retry-after', (value) => mapped(parseDurationMs(value), (retryAfterMs) => ({ retryAfterMs }))],
  [
    'tool',
    (value, script) => {
      const call = parseCall(value);
      return call === null ? null : { tools: [...script.tools, call] };
    },
  ],
  ['steps', (value) => mapped(parseCount(value, STEPS_MAX), (steps) => ({ steps }))],
  ['stop', (value) => (isKey(STOPS, value) ? { stop: value } : null)],
]);

function mapped<T, R>(value: T | null, map: (value: T) => R | null): R | null {
  return value === null ? null : map(value);
}

/** `name` or `name:arguments`; what stands there goes to the tool as it is, so that bad arguments can be tried too. */
function parseCall(value: string): ScriptedCall | null {
  const match = /^([\w-]{1,64})(?::(.*))?$/u.exec(value);
  return match === null ? null : { name: match[1] ?? '', args: match[2] ?? '{}' };
}

function isKey<K extends string>(record: Readonly<Record<K, true>>, key: string): key is K {
  return Object.hasOwn(record, key);
}

function parseCount(value: string, max: number): number | null {
  if (!/^\d{1,10}$/u.test(value)) return null;
  const count = Number(value);
  return count <= max ? count : null;
}

/** `word` as it stands, or a JSON string. */
function parseText(value: string): string | null {
  if (!value.startsWith('"')) return value.includes('"') ? null : value;
  try {
    const text: unknown = JSON.parse(value);
    return typeof text === 'string' ? text.toWellFormed() : null;
  } catch {
    return null;
  }
}

function parseDurationMs(value: string): number | null {
  const match = /^(\d{1,7})(ms|s|m)?$/u.exec(value);
  if (match === null) return null;
  const unitMs = match[2] === 'm' ? 60_000 : match[2] === 's' ? 1_000 : 1;
  const durationMs = Number(match[1]) * unitMs;
  return durationMs <= DURATION_MAX_MS ? durationMs : null;
}

/** `5ms`, or a range `20-40ms`. */
function parsePace(value: string): PaceMs | null {
  const range = /^(\d+)-(\d+)(ms|s|m)?$/u.exec(value);
  const unit = range?.[3] ?? '';
  const minMs = parseDurationMs(range === null ? value : `${range[1]}${unit}`);
  const maxMs = parseDurationMs(range === null ? value : `${range[2]}${unit}`);
  return minMs === null || maxMs === null || minMs > maxMs ? null : { minMs, maxMs };
}

/** `head` or `head@deltas`. */
function parseAfter(value: string): { readonly head: string; readonly afterDeltas: number } | null {
  const at = value.indexOf('@');
  if (at < 0) return { head: value, afterDeltas: 0 };
  return mapped(parseCount(value.slice(at + 1), SCRIPT_DELTAS_MAX), (afterDeltas) => ({
    head: value.slice(0, at),
    afterDeltas,
  }));
}
