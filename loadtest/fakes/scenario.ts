// What a fake model server does with one request, whatever its protocol: given by a test (`enqueue`), or by a directive in
// the last user message, so that processes apart can ask for it: `fake: tokens=50 pace=5ms fail=529`.

export type Scenario = {
  /** Deltas of text, one token each, when `text` is null. */
  readonly tokens: number;
  /** Exactly this text instead, a word per delta. */
  readonly text: string | null;
  /** Milliseconds between two deltas; 0 writes without a pause. */
  readonly paceMs: number;
  readonly thinking: Thinking;
  readonly stopReason: string;
  /** Tools that the model calls behind its text. */
  readonly calls: readonly ScenarioCall[];
  /** It calls in this many steps of a turn; then it only answers. A request of a test's own list calls in any case. */
  readonly callSteps: number;
  /** Once there are results, the text is what they say. */
  readonly echo: boolean;
  readonly failure: Failure | null;
  /** Only this step fails, counted from 0; null: whichever comes. */
  readonly failStep: number | null;
  /** The failure happens this many times, to requests with the same last user message; then all is well. */
  readonly times: number;
  /** An event and a block of types that nobody knows. */
  readonly unknown: boolean;
  readonly chunks: Chunks;
  /** Pings between the deltas. */
  readonly pings: boolean;
  /** Words of the protocol's own, which it listed: key → value. */
  readonly words: Readonly<Record<string, string>>;
};

/** `args` as the model writes them: mostly JSON. */
export type ScenarioCall = { readonly name: string; readonly args: string };

/** `tokens` deltas of thinking before the text; `omitted`: none, only the signature; `redacted`: an opaque block. */
export type Thinking = { readonly kind: 'none' | 'signed' | 'omitted' | 'redacted'; readonly tokens: number };

/** How events become chunks of the body. `byte` one byte each, `split` cuts inside UTF-8 sequences and lines. */
export type Chunks = 'event' | 'joined' | 'split' | 'byte';

export type Failure =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly type: string;
      readonly message: string;
      readonly code: string | number | null;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** An error within a 200. */
  | { readonly kind: 'event'; readonly type: string; readonly after: number }
  /** The body ends in order, but too early: after `after` deltas, or in the middle of the next one's line. */
  | { readonly kind: 'cut'; readonly after: number; readonly inLine: boolean }
  /** The socket is closed (FIN) without the end of the chunked body. */
  | { readonly kind: 'close'; readonly after: number }
  /** The socket is reset (RST); `after` null: before the headers. */
  | { readonly kind: 'reset'; readonly after: number | null }
  /** Nothing more comes until the client leaves; `after` null: not even headers. With pings every `pingMs`. */
  | { readonly kind: 'silence'; readonly after: number | null; readonly pingMs: number | null };

export const DEFAULT_SCENARIO: Scenario = {
  tokens: 20,
  text: null,
  paceMs: 0,
  thinking: { kind: 'none', tokens: 0 },
  stopReason: 'end_turn',
  calls: [],
  callSteps: 1,
  echo: false,
  failure: null,
  failStep: null,
  times: 1,
  unknown: false,
  chunks: 'event',
  pings: false,
  words: {},
};

const TOKENS_MAX = 200_000;
const CALLS_MAX = 99;
/** Characters of arguments per delta. */
const ARGS_PIECE = 5;

/** What a directive may say beyond the words that all protocols know. */
export type Vocabulary = {
  /** HTTP failures by the name that `fail=` gives them. */
  readonly statuses: Statuses;
  /** Words of the protocol's own, with the values that they may have. */
  readonly words: Readonly<Record<string, RegExp>>;
};

export type Statuses = Readonly<Record<string, StatusEntry>>;
type StatusEntry = readonly [status: number, type: string, message: string, code?: string | number];

/** Help for people, printed by `main.ts`. */
export const FAKE_HELP = `In the last user message, up to the end of its line:  fake: key=value …
  tokens=50            deltas of text            text="exact text"   exactly that text
  pace=5ms             between deltas            stop=max_tokens     how it stops, in the API's own word
  call=name            a tool that it calls      args="{}"           with these arguments;  calls=3: three of its own choice
  steps=4              it calls in 4 steps       echo=1              and answers with what the tools said
  thinking=10          deltas of thinking before the text (Anthropic: omitted=1, only its signature; redacted=1, opaque)
  fail=503             an HTTP status            retry-after=2s, retry-after-ms=1500, retry-after-date=2s (as an HTTP date)
  fail=some_error@5    an error within the stream after 5 deltas; also cut@5 cut_line@5 close@5 reset@5 silence@5
  fail=silence         before the headers, like reset without @;  ping=100ms: pings within the silence
  times=2              how often it fails        fail_step=3         only in step 3, from 0
  unknown=1            what nobody knows yet
  chunks=byte          event, joined, split, byte                    pings=1`;

/** The directive in a message laid over `base`; `fault` when it cannot be read, `base` when there is none. */
export function parseDirective(
  message: string,
  base: Scenario,
  vocabulary: Vocabulary,
): { readonly scenario: Scenario } | { readonly fault: string } {
  // The last one: messages that went unanswered may be joined with the one that came after them.
  const line = [...message.matchAll(/(?:^|\s)fake:([^\n]*)/gu)].at(-1)?.[1];
  if (line === undefined) return { scenario: base };
  let draft: Draft = { scenario: base, headers: {}, pingMs: null, vocabulary };
  for (const word of line.match(/(?:[^\s"]+|"(?:[^"\\]|\\.)*")+/gu) ?? []) {
    const at = word.indexOf('=');
    const next = at < 0 ? null : applyWord(draft, word.slice(0, at), word.slice(at + 1));
    if (next === null) return { fault: `fake: cannot read ${word}` };
    draft = next;
  }
  return { scenario: finish(draft) };
}

/** An HTTP failure by its name, as `fail=` and tests name it; null when there is none. */
export function statusFailure(
  statuses: Statuses,
  name: string,
  headers: Readonly<Record<string, string>> = {},
): Failure | null {
  const entry = Object.hasOwn(statuses, name) ? statuses[name] : undefined;
  if (entry === undefined) return null;
  const [status, type, message, code = null] = entry;
  return { kind: 'status', status, type, message, code, headers };
}

/** The text that a scenario streams: what a test compares with, byte for byte. */
export function scenarioDeltas(scenario: Scenario): readonly string[] {
  if (scenario.text !== null) return scenario.text.match(/^\s+|\S+\s*/gu) ?? [];
  return Array.from({ length: scenario.tokens }, (_, i) => `token${i + 1} `);
}

export function thinkingDeltas(scenario: Scenario): readonly string[] {
  const count = scenario.thinking.kind === 'signed' ? scenario.thinking.tokens : 0;
  return Array.from({ length: count }, (_, i) => `thought${i + 1} `);
}

/** Arguments as they are streamed. */
export function argumentDeltas({ args }: ScenarioCall): readonly string[] {
  const chars = Array.from(args);
  const pieces: string[] = [];
  for (let at = 0; at < chars.length; at += ARGS_PIECE) pieces.push(chars.slice(at, at + ARGS_PIECE).join(''));
  return pieces;
}

// --------------------------------------------------------------------------------------------------- directive

type Draft = {
  readonly scenario: Scenario;
  readonly headers: Readonly<Record<string, string>>;
  readonly pingMs: number | null;
  readonly vocabulary: Vocabulary;
};

function applyWord(draft: Draft, key: string, value: string): Draft | null {
  const over = (change: Partial<Scenario> | null): Draft | null =>
    change === null ? null : { ...draft, scenario: { ...draft.scenario, ...change } };
  const { thinking } = draft.scenario;
  const count = /^\d{1,6}$/u.test(value) && Number(value) <= TOKENS_MAX ? Number(value) : null;
  const ms = durationMs(value);
  switch (key) {
    case 'tokens':
      return over(count === null ? null : { tokens: count, text: null });
    case 'text':
      return over(exactText(value));
    case 'pace':
      return over(ms === null ? null : { paceMs: ms });
    case 'thinking':
      return over(count === null ? null : { thinking: { kind: 'signed', tokens: count } });
    case 'omitted':
    case 'redacted':
      return over(value === '1' ? { thinking: { ...thinking, kind: key } } : null);
    case 'stop':
      return over({ stopReason: value });
    case 'call':
      return over(
        /^[\w.-]{1,64}$/u.test(value) ? { calls: [...draft.scenario.calls, { name: value, args: '{}' }] } : null,
      );
    case 'args':
      return over(withArguments(draft.scenario.calls, value));
    case 'calls':
      return over(count === null || count > CALLS_MAX ? null : { calls: someCalls(count) });
    case 'steps':
      return over(count === null ? null : { callSteps: count });
    case 'fail_step':
      return over(count === null ? null : { failStep: count });
    case 'times':
      return over(count === null ? null : { times: count });
    case 'unknown':
    case 'pings':
    case 'echo':
      return over({ [key]: value === '1' });
    case 'chunks':
      return over(
        value === 'event' || value === 'joined' || value === 'split' || value === 'byte' ? { chunks: value } : null,
      );
    case 'ping':
      return { ...draft, pingMs: ms };
    case 'retry-after':
      return ms === null ? null : withHeader(draft, 'retry-after', String(ms / 1000));
    case 'retry-after-ms':
      return ms === null ? null : withHeader(draft, 'retry-after-ms', String(ms));
    case 'retry-after-date':
      return ms === null ? null : withHeader(draft, 'retry-after', new Date(Date.now() + ms).toUTCString());
    case 'fail': {
      const failure = parseFailure(value, draft.vocabulary.statuses);
      return over(failure === null ? null : { failure });
    }
    default:
      return ownWord(draft, key, value);
  }
}

function ownWord(draft: Draft, key: string, value: string): Draft | null {
  const { words } = draft.vocabulary;
  if (!Object.hasOwn(words, key) || words[key]?.test(value) !== true) return null;
  const { scenario } = draft;
  return { ...draft, scenario: { ...scenario, words: { ...scenario.words, [key]: value } } };
}

function exactText(value: string): Partial<Scenario> | null {
  if (!value.startsWith('"')) return { text: value };
  try {
    return { text: String(JSON.parse(value)) };
  } catch {
    return null;
  }
}

function withArguments(calls: readonly ScenarioCall[], value: string): Partial<Scenario> | null {
  const last = calls.at(-1);
  const args = exactText(value)?.text ?? null;
  return last === undefined || args === null ? null : { calls: [...calls.slice(0, -1), { ...last, args }] };
}

/** Calls of tools that nobody named. */
export function someCalls(count: number): readonly ScenarioCall[] {
  return Array.from({ length: count }, (_, i) => {
    return { name: `tool_${i + 1}`, args: JSON.stringify({ n: i, path: '/tmp/größe' }) };
  });
}

function withHeader(draft: Draft, name: string, value: string): Draft {
  return { ...draft, headers: { ...draft.headers, [name]: value } };
}

function finish({ scenario, headers, pingMs }: Draft): Scenario {
  const { failure } = scenario;
  if (failure?.kind === 'status') return { ...scenario, failure: { ...failure, headers } };
  if (failure?.kind === 'silence') return { ...scenario, failure: { ...failure, pingMs } };
  return scenario;
}

function parseFailure(value: string, statuses: Statuses): Failure | null {
  const [name = '', count] = value.split('@');
  if (count !== undefined && !/^\d{1,6}$/u.test(count)) return null;
  const after = count === undefined ? null : Number(count);
  switch (name) {
    case 'cut':
    case 'cut_line':
      return { kind: 'cut', after: after ?? 0, inLine: name === 'cut_line' };
    case 'close':
      return { kind: 'close', after: after ?? 0 };
    case 'reset':
      return { kind: 'reset', after };
    case 'silence':
      return { kind: 'silence', after, pingMs: null };
    default:
      if (after !== null) return { kind: 'event', type: name, after };
      return statusFailure(statuses, name);
  }
}

function durationMs(value: string): number | null {
  const match = /^(\d{1,7})(ms|s)?$/u.exec(value);
  return match === null ? null : Number(match[1]) * (match[2] === 's' ? 1000 : 1);
}
