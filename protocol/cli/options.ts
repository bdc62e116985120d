// The command line of the terminal client: parsed once, all faults reported together.
import { parseArgs } from 'node:util';
import { parseUuid, type ChatId } from '../ids.ts';
import { LIMITS } from '../limits.ts';

/** Where to connect: given, or to be found in the data folder of a local node. */
export type Target = {
  readonly url: string | null;
  readonly token: string | null;
  readonly dataDir: string;
};

/** The chat to talk in: a new one, one by id, or the one that changed last. */
export type ChatChoice =
  | { readonly kind: 'new' }
  | { readonly kind: 'id'; readonly id: ChatId }
  | { readonly kind: 'last' };

export type Options = {
  readonly target: Target;
  /** One message: print the reply and leave. Null: interactive. */
  readonly message: string | null;
  readonly json: boolean;
  readonly chat: ChatChoice;
  readonly model: string | null;
  readonly title: string | null;
  /** For one message: how long to wait for the reply. Null: as long as it takes. */
  readonly timeoutMs: number | null;
  /** Offer the tools of this terminal to the model. */
  readonly tools: boolean;
  /** For one message: the answer to every approval that is asked for. Null: nobody is there to give it. */
  readonly approve: 'all' | 'none' | null;
};

export type Parsed =
  | { readonly kind: 'help' }
  | { readonly kind: 'options'; readonly options: Options }
  | { readonly kind: 'faults'; readonly faults: readonly string[] };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a node takes WebSockets, when the address names no path. */
const SOCKET_PATH = '/v1/ws';
const DEFAULT_DATA_DIR = '.parley';

const SCHEMA = {
  help: { type: 'boolean', short: 'h' },
  message: { type: 'string', short: 'm' },
  json: { type: 'boolean' },
  chat: { type: 'string' },
  last: { type: 'boolean' },
  new: { type: 'boolean' },
  model: { type: 'string' },
  title: { type: 'string' },
  timeout: { type: 'string' },
  tools: { type: 'boolean' },
  approve: { type: 'string' },
  url: { type: 'string' },
  token: { type: 'string' },
  'data-dir': { type: 'string' },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof SCHEMA }>>['values'];

export function parseOptions(args: readonly string[], environment: Environment): Parsed {
  let values: Values;
  try {
    values = parseArgs({ args: [...args], options: SCHEMA, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return { kind: 'faults', faults: [firstSentence(error)] };
  }
  if (values.help === true) return { kind: 'help' };
  const faults: string[] = [];
  const url = values.url ?? environment['PARLEY_URL'] ?? null;
  const options: Options = {
    target: {
      url: url === null ? null : parseUrl(url, faults),
      token: values.token ?? environment['PARLEY_TOKEN'] ?? null,
      dataDir: values['data-dir'] ?? environment['PARLEY_DATA_DIR'] ?? DEFAULT_DATA_DIR,
    },
    message: values.message ?? null,
    json: values.json ?? false,
    chat: parseChoice(values, faults),
    model: values.model ?? null,
    title: values.title ?? null,
    timeoutMs: values.timeout === undefined ? null : parseSeconds(values.timeout, faults),
    tools: values.tools ?? false,
    approve: values.approve === undefined ? null : parseApprove(values.approve, faults),
  };
  faults.push(...misfits(options));
  return faults.length > 0 ? { kind: 'faults', faults } : { kind: 'options', options };
}

function misfits({ message, chat, model, title, timeoutMs, approve, target }: Options): string[] {
  const faults: string[] = [];
  if (message !== null && message.trim() === '') faults.push('--message is empty.');
  if (message === null && timeoutMs !== null) faults.push('--timeout needs --message.');
  if (message === null && approve !== null) faults.push('--approve needs --message: without it you are asked.');
  if (chat.kind !== 'new' && model !== null) faults.push('--model is for a new chat: leave out --chat and --last.');
  if (chat.kind !== 'new' && title !== null) faults.push('--title is for a new chat: leave out --chat and --last.');
  if (title !== null && title.length > LIMITS.titleChars) {
    faults.push(`--title is longer than ${LIMITS.titleChars} characters.`);
  }
  if (target.url !== null && target.token === null) {
    faults.push('--url needs a token: give --token or set PARLEY_TOKEN.');
  }
  return faults;
}

function parseUrl(text: string, faults: string[]): string {
  const scheme = /^(?:wss?|https?):\/\//.exec(text)?.[0];
  if (scheme === undefined || !URL.canParse(text)) {
    faults.push(`--url is not a WebSocket address: ${JSON.stringify(text)}. It looks like ws://127.0.0.1:7077.`);
    return text;
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    faults.push('--url holds no secret: give the token by --token or PARLEY_TOKEN.');
  }
  if (url.pathname === '/') url.pathname = SOCKET_PATH;
  return url.href.replace(/^http/, 'ws');
}

function parseChoice(values: Values, faults: string[]): ChatChoice {
  const given = [values.chat !== undefined, values.last === true, values.new === true].filter(Boolean).length;
  if (given > 1) faults.push('Give one of --chat, --last and --new.');
  if (values.last === true) return { kind: 'last' };
  if (values.chat === undefined) return { kind: 'new' };
  const id = parseUuid<ChatId>(values.chat);
  if (id === null) faults.push(`--chat is not the id of a chat: ${JSON.stringify(values.chat)}.`);
  return id === null ? { kind: 'new' } : { kind: 'id', id };
}

function parseSeconds(text: string, faults: string[]): number | null {
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds <= 0 || seconds > 86_400) {
    faults.push(`--timeout is a number of seconds above 0, at most 86400, not ${JSON.stringify(text)}.`);
    return null;
  }
  return Math.ceil(seconds * 1000);
}

function parseApprove(text: string, faults: string[]): 'all' | 'none' | null {
  if (text === 'all' || text === 'none') return text;
  faults.push(`--approve is all or none, not ${JSON.stringify(text)}.`);
  return null;
}

/** Of an error of `parseArgs`; what follows the first sentence is advice about positional arguments. */
function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `${message.split('. ')[0]}.`.replace(/\.\.$/, '.');
}
