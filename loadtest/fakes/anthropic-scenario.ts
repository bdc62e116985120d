// What a fake Anthropic server does with one request: given by a test (`enqueue`), or by a directive in the last user
// message, so that processes apart can ask for it: `fake: tokens=50 pace=5ms fail=529`.

export type Scenario = {
  /** Deltas of text, one token each, when `text` is null. */
  readonly tokens: number;
  /** Exactly this text instead, a word per delta. */
  readonly text: string | null;
  /** Milliseconds between two deltas; 0 writes without a pause. */
  readonly paceMs: number;
  readonly thinking: Thinking;
  readonly stopReason: string;
  readonly failure: Failure | null;
  /** The failure happens this many times, to requests with the same last user message; then all is well. */
  readonly times: number;
  /** An event and a block of types that nobody knows. */
  readonly unknown: boolean;
  readonly chunks: Chunks;
  /** Pings between the deltas. */
  readonly pings: boolean;
};

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
      readonly code: string | null;
      readonly headers: Readonly<Record<string, string>>;
    }
  /** `event: error` within a 200. */
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
  failure: null,
  times: 1,
  unknown: false,
  chunks: 'event',
  pings: false,
};

const TOKENS_MAX = 200_000;

/** Help for people, printed by `main.ts`. */
export function fakeHelp(): string {
  return `In the last user message, up to the end of its line:  fake: key=value …
  tokens=50            deltas of text            text="exact text"   exactly that text
  pace=5ms             between deltas            stop=max_tokens     stop_reason, as the API names it
  thinking=10          deltas of signed thinking; omitted=1: only its signature; redacted=1: an opaque block
  fail=529             400 401 402 403 404 408 409 413 429 500 502 503 504 529, too_long, spend, contract_spend, ramp, credit
  fail=overloaded_error@5   an error event after 5 deltas (any error type); also cut@5 cut_line@5 close@5 reset@5 silence@5
  fail=silence         before the headers, like reset without @;  ping=100ms: pings within the silence
  times=2              how often it fails        retry-after=2s, retry-after-ms=1500, retry-after-date=2s (as an HTTP date)
  unknown=1            unknown event and block   chunks=byte         event, joined, split, byte          pings=1`;
}

/** The directive in a message laid over `base`; `fault` when it cannot be read, `base` when there is none. */
export function parseDirective(
  message: string,
  base: Scenario,
): { readonly scenario: Scenario } | { readonly fault: string } {
  const line = /(?:^|\s)fake:([^\n]*)/u.exec(message)?.[1];
  if (line === undefined) return { scenario: base };
  let draft: Draft = { scenario: base, headers: {}, pingMs: null };
  for (const word of line.match(/(?:[^\s"]+|"(?:[^"\\]|\\.)*")+/gu) ?? []) {
    const at = word.indexOf('=');
    const next = at < 0 ? null : applyWord(draft, word.slice(0, at), word.slice(at + 1));
    if (next === null) return { fault: `fake: cannot read ${word}` };
    draft = next;
  }
  return { scenario: finish(draft) };
}

/** An HTTP failure by its name, as `fail=` and tests name it; null when there is none. */
export function statusFailure(name: string, headers: Readonly<Record<string, string>> = {}): Failure | null {
  const entry = Object.hasOwn(STATUSES, name) ? STATUSES[name] : undefined;
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

// --------------------------------------------------------------------------------------------------- directive

type Draft = {
  readonly scenario: Scenario;
  readonly headers: Readonly<Record<string, string>>;
  readonly pingMs: number | null;
};

type StatusEntry = readonly [status: number, type: string, message: string, code?: string];

/** Bodies as the API gives them. They quote the prompt on purpose: an adapter must not pass them on. */
const STATUSES: Readonly<Record<string, StatusEntry>> = {
  '400': [400, 'invalid_request_error', 'messages.0.content: "my secret prompt" is not valid'],
  too_long: [400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'],
  credit: [400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.'],
  '401': [401, 'authentication_error', 'invalid x-api-key'],
  '402': [402, 'billing_error', 'there is an issue with your billing information'],
  '403': [403, 'permission_error', 'the key may not use this resource'],
  '404': [404, 'not_found_error', 'model: no-such-model'],
  '408': [408, 'timeout_error', 'request timed out'],
  '409': [409, 'conflict_error', 'conflict'],
  '413': [413, 'request_too_large', 'request exceeds the maximum size'],
  '422': [422, 'invalid_request_error', 'unprocessable'],
  '429': [429, 'rate_limit_error', 'this request would exceed the rate limit'],
  ramp: [429, 'rate_limit_error', 'usage grows too fast', 'ramp_limit_exceeded'],
  spend: [429, 'rate_limit_error', 'the spend limit is reached', 'enforced_spend_limit_reached'],
  contract_spend: [429, 'rate_limit_error', 'the contract limit is reached', 'contract_spend_limit_reached'],
  '500': [500, 'api_error', 'internal server error'],
  '502': [502, 'api_error', 'bad gateway'],
  '503': [503, 'api_error', 'service unavailable'],
  '504': [504, 'timeout_error', 'gateway timeout'],
  '529': [529, 'overloaded_error', 'Overloaded'],
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
    case 'times':
      return over(count === null ? null : { times: count });
    case 'unknown':
    case 'pings':
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
      const failure = parseFailure(value);
      return over(failure === null ? null : { failure });
    }
    default:
      return null;
  }
}

function exactText(value: string): Partial<Scenario> | null {
  if (!value.startsWith('"')) return { text: value };
  try {
    return { text: String(JSON.parse(value)) };
  } catch {
    return null;
  }
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

function parseFailure(value: string): Failure | null {
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
      return statusFailure(name);
  }
}

function durationMs(value: string): number | null {
  const match = /^(\d{1,7})(ms|s)?$/u.exec(value);
  return match === null ? null : Number(match[1]) * (match[2] === 's' ? 1000 : 1);
}
