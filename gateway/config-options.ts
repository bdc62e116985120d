// The configuration as one table: every option with its environment variable, unit, default and a line of doc. A flag is
// the option's name in kebab-case. Secrets have no flag: arguments show up in the list of processes.

import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { parseDatabaseUrl } from '../storage/database-url.ts';
import { StorageError } from '../storage/errors.ts';
import { SECRET_BYTES_MIN } from './authentication.ts';
import { isNetwork } from './client-address.ts';
import { LOG_LEVELS } from './logger.ts';

export type Option<T> = {
  readonly env: string;
  /** Never printed, and no flag. */
  readonly secret: boolean;
  readonly unit: string;
  /** As a person would write it; null: not set. */
  readonly default: string | null;
  readonly doc: string;
  /** From the text that was given. */
  readonly schema: z.ZodType<T, string>;
};

/** As the catalogue takes them: providers' names of models are opaque, but have no blanks. */
const MODEL_NAME = /^[\w.:@/-]{1,200}$/;

const SYSTEM_PROMPT_BYTES_MAX = 128 * 1024;

const text = z.string().min(1, 'must not be empty');
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

function whole(min: number, max: number): z.ZodType<number, string> {
  const wanted = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, wanted)
    .transform(Number)
    .refine((value) => value >= min && value <= max, wanted);
}

/** `id=figure`, separated by commas. */
function byModel(figure: z.ZodType<number, string>): z.ZodType<ReadonlyMap<string, number>, string> {
  const wanted = 'must be pairs such as compatible/qwen3:8b=32768, separated by commas';
  const pair = z.string().transform((value, context): readonly [string, number] => {
    const at = value.lastIndexOf('=');
    const model = value.slice(0, Math.max(0, at)).trim();
    const parsed = figure.safeParse(value.slice(at + 1).trim());
    if (MODEL_NAME.test(model) && parsed.success) return [model, parsed.data];
    context.addIssue({
      code: 'custom',
      message: parsed.success ? wanted : (parsed.error.issues[0]?.message ?? wanted),
    });
    return z.NEVER;
  });
  return list.pipe(z.array(pair)).transform((pairs): ReadonlyMap<string, number> => new Map(pairs));
}

function url(protocols: readonly string[]): z.ZodType<string, string> {
  return z.string().refine(
    (value) => {
      const parsed = URL.parse(value);
      return parsed !== null && protocols.includes(parsed.protocol) && parsed.hostname !== '';
    },
    `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  );
}

function option<T>(fields: Omit<Option<T>, 'secret'> & { readonly secret?: true }): Option<T> {
  return { secret: false, ...fields };
}

/** What is `null` by default, is `null` when nobody sets it. */
function optional<T>(
  fields: Omit<Option<T>, 'secret' | 'default'> & { readonly secret?: true },
): Option<T> & { readonly default: null } {
  return { secret: false, ...fields, default: null };
}

const databaseUrl = z.string().superRefine((value, context) => {
  try {
    parseDatabaseUrl(value);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    context.addIssue({ code: 'custom', message: error.message.replace(/^DATABASE_URL /, '') });
  }
});

const origin = z.string().refine((value) => {
  const parsed = URL.parse(value);
  return parsed !== null && parsed.origin === value;
}, 'must be origins such as https://app.example.com, separated by commas');

const network = z
  .string()
  .refine(isNetwork, 'must be addresses or CIDRs such as 10.0.0.7 or fd00::/8, separated by commas');

export const OPTIONS = {
  // ------------------------------------------------------------------------------------------- where
  host: option({
    env: 'PARLEY_HOST',
    unit: 'address',
    default: '127.0.0.1',
    doc: 'Where to listen. Another address than a loopback one needs PARLEY_JWT_SECRET or PARLEY_JWKS_URL.',
    schema: text,
  }),
  port: option({
    env: 'PARLEY_PORT',
    unit: 'TCP port',
    default: '7077',
    doc: 'Port to listen on; 0 takes any free one.',
    schema: whole(0, 65_535),
  }),
  metricsPort: optional({
    env: 'PARLEY_METRICS_PORT',
    unit: 'port|off',
    doc: 'Port of http://127.0.0.1:<port>/metrics; 0 takes any free one. Not set: 7078, or a free one if that is taken.',
    schema: z.union([z.literal('off'), whole(0, 65_535)], 'must be a whole number from 0 to 65535, or off'),
  }),
  otlpUrl: optional({
    env: 'PARLEY_OTLP_URL',
    unit: 'URL',
    doc: 'A collector of OpenTelemetry traces (OTLP over HTTP), such as http://127.0.0.1:4318/v1/traces. Not set: no traces.',
    schema: url(['http:', 'https:']),
  }),
  dataDir: option({
    env: 'PARLEY_DATA_DIR',
    unit: 'folder',
    default: '.parley',
    doc: 'Holds the embedded database and the development token; relative to the working directory.',
    schema: text,
  }),
  databaseUrl: optional({
    env: 'DATABASE_URL',
    secret: true,
    unit: 'URL',
    doc: 'Postgres 15 or newer, such as postgres://user:password@host:5432/parley. Not set: the embedded database.',
    schema: databaseUrl,
  }),
  logLevel: option({
    env: 'PARLEY_LOG_LEVEL',
    unit: LOG_LEVELS.join('|'),
    default: 'info',
    doc: 'What to log, as JSON lines on standard error.',
    schema: z.string().pipe(z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`)),
  }),
  // ------------------------------------------------------------------------------------------- models
  anthropicApiKey: optional({
    env: 'ANTHROPIC_API_KEY',
    secret: true,
    unit: 'key',
    doc: 'Key for the Anthropic API. Without a key of any provider the scripted model answers.',
    schema: text,
  }),
  anthropicBaseUrl: optional({
    env: 'ANTHROPIC_BASE_URL',
    unit: 'URL',
    doc: 'Another address of the Anthropic API: a proxy or a test server.',
    schema: url(['http:', 'https:']),
  }),
  openaiApiKey: optional({
    env: 'OPENAI_API_KEY',
    secret: true,
    unit: 'key',
    doc: 'Key for the OpenAI API.',
    schema: text,
  }),
  openaiBaseUrl: optional({
    env: 'OPENAI_BASE_URL',
    unit: 'URL',
    doc: 'Another address of the OpenAI API, with its /v1: a proxy or a test server.',
    schema: url(['http:', 'https:']),
  }),
  compatibleBaseUrl: optional({
    env: 'PARLEY_COMPATIBLE_BASE_URL',
    unit: 'URL',
    doc: 'A server that speaks OpenAI chat completions, up to what comes before /chat/completions: http://127.0.0.1:11434/v1.',
    schema: url(['http:', 'https:']).refine(
      (value) => !/\/chat\/completions\/*$/.test(value),
      'must end before /chat/completions, usually in /v1',
    ),
  }),
  compatibleApiKey: optional({
    env: 'PARLEY_COMPATIBLE_API_KEY',
    secret: true,
    unit: 'key',
    doc: 'Key for that server. Not set: none is sent.',
    schema: text,
  }),
  compatibleModels: option({
    env: 'PARLEY_COMPATIBLE_MODELS',
    unit: 'names',
    default: '',
    doc: 'Its models, as it names them, separated by commas: qwen3:8b is offered as compatible/qwen3:8b. No other is asked for.',
    schema: list.pipe(z.array(z.string().regex(MODEL_NAME, 'must be names such as qwen3:8b, separated by commas'))),
  }),
  compatibleMaxOutputTokens: optional({
    env: 'PARLEY_COMPATIBLE_MAX_OUTPUT_TOKENS',
    unit: 'tokens',
    doc: 'Most tokens of one answer of theirs. Not set: the server decides; some refuse a limit beyond their window.',
    schema: whole(1, 10_000_000),
  }),
  contextWindows: option({
    env: 'PARLEY_CONTEXT_WINDOWS',
    unit: 'model=tokens',
    default: '',
    doc: 'Windows of models by their ids, where another one holds than is known here: compatible/qwen3:8b=32768,scripted=2000.',
    schema: byModel(whole(100, 100_000_000)),
  }),
  compactionThresholds: option({
    env: 'PARLEY_COMPACTION_THRESHOLDS',
    unit: 'model=percent',
    default: '',
    doc: 'Of the window, from which on chats with a model are compacted, by its id; 100: never. Not set: 70, from a window of 500,000 tokens on 30.',
    schema: byModel(whole(1, 100)),
  }),
  titleModel: optional({
    env: 'PARLEY_TITLE_MODEL',
    unit: 'model',
    doc: 'Names new chats by their first message; none: nobody does. Not set: a cheap one of the provider that answers.',
    schema: text,
  }),
  defaultModel: optional({
    env: 'PARLEY_DEFAULT_MODEL',
    unit: 'model',
    doc: 'Model of new chats that name none. Not set: the first one that is set up.',
    schema: text,
  }),
  systemPrompt: optional({
    env: 'PARLEY_SYSTEM_PROMPT',
    unit: 'text',
    doc: 'Part of the system prompt of every new chat; at most 128 KiB.',
    schema: z.string().refine(fitsPrompt, 'must be at most 128 KiB of text'),
  }),
  systemPromptFile: optional({
    env: 'PARLEY_SYSTEM_PROMPT_FILE',
    unit: 'file',
    doc: 'The same, read from a file at start.',
    schema: text,
  }),
  streamSilenceTimeoutMs: option({
    env: 'PARLEY_STREAM_SILENCE_TIMEOUT_MS',
    unit: 'ms',
    default: '600000',
    doc: 'A model that sends nothing for this long is given up; 0: never.',
    schema: whole(0, 86_400_000),
  }),
  attemptsMax: option({
    env: 'PARLEY_ATTEMPTS_MAX',
    unit: 'attempts',
    default: '8',
    doc: 'Tries of one model request, the first included.',
    schema: whole(1, 50),
  }),
  retryBaseMs: option({
    env: 'PARLEY_RETRY_BASE_MS',
    unit: 'ms',
    default: '1000',
    doc: 'First wait before a model request is tried again; it doubles.',
    schema: whole(1, 3_600_000),
  }),
  retryCeilingMs: option({
    env: 'PARLEY_RETRY_CEILING_MS',
    unit: 'ms',
    default: '60000',
    doc: 'Longest wait between two tries.',
    schema: whole(1, 3_600_000),
  }),
  mergeWindowMs: option({
    env: 'PARLEY_MERGE_WINDOW_MS',
    unit: 'ms',
    default: '15',
    doc: 'Text that arrives within this time becomes one event; the first piece goes out at once.',
    schema: whole(0, 1_000),
  }),
  journalEveryMs: option({
    env: 'PARLEY_JOURNAL_EVERY_MS',
    unit: 'ms',
    default: '500',
    doc: 'How often streamed text is saved: what a crash of the node may take back.',
    schema: whole(10, 60_000),
  }),
  idlePassivationMs: option({
    env: 'PARLEY_IDLE_PASSIVATION_MS',
    unit: 'ms',
    default: '120000',
    doc: 'A chat without work and followers leaves memory after this.',
    schema: whole(100, 86_400_000),
  }),
  // ------------------------------------------------------------------------------------------- who
  jwtSecret: optional({
    env: 'PARLEY_JWT_SECRET',
    secret: true,
    unit: 'text',
    doc: `Signs the credentials (JWT, HS256); at least ${SECRET_BYTES_MIN} bytes. Neither it nor PARLEY_JWKS_URL set: a development token.`,
    schema: z.string().refine((value) => Buffer.byteLength(value) >= SECRET_BYTES_MIN, {
      message: `must have at least ${SECRET_BYTES_MIN} bytes; make one with: openssl rand -base64 48`,
    }),
  }),
  jwksUrl: optional({
    env: 'PARLEY_JWKS_URL',
    unit: 'URL',
    doc: 'Key set (RFC 7517) whose keys sign credentials (JWT, EdDSA, ES256 or RS256); https only.',
    schema: url(['https:']),
  }),
  jwksCaFile: optional({
    env: 'PARLEY_JWKS_CA_FILE',
    unit: 'file',
    doc: 'Certificates (PEM) to trust for the key set, in place of those that Node.js brings.',
    schema: text,
  }),
  jwksLifetimeMs: option({
    env: 'PARLEY_JWKS_LIFETIME_MS',
    unit: 'ms',
    default: '600000',
    doc: 'The key set is fetched again after this; while that fails the old one counts for a day more.',
    schema: whole(1_000, 86_400_000),
  }),
  jwksCooldownMs: option({
    env: 'PARLEY_JWKS_COOLDOWN_MS',
    unit: 'ms',
    default: '30000',
    doc: 'A credential whose key is not known makes the node fetch the key set at most this often.',
    schema: whole(100, 3_600_000),
  }),
  jwtIssuer: optional({
    env: 'PARLEY_JWT_ISSUER',
    unit: 'text',
    doc: 'Required "iss" of credentials.',
    schema: text,
  }),
  jwtAudience: optional({
    env: 'PARLEY_JWT_AUDIENCE',
    unit: 'text',
    doc: 'Required "aud" of credentials.',
    schema: text,
  }),
  tokenGraceMs: option({
    env: 'PARLEY_TOKEN_GRACE_MS',
    unit: 'ms',
    default: '10000',
    doc: 'An open connection whose credential has expired is closed after this.',
    schema: whole(0, 300_000),
  }),
  allowedOrigins: option({
    env: 'PARLEY_ALLOWED_ORIGINS',
    unit: 'origins',
    default: '',
    doc: "Browser origins that may connect besides the node's own, separated by commas.",
    schema: list.pipe(z.array(origin)),
  }),
  allowedHosts: option({
    env: 'PARLEY_ALLOWED_HOSTS',
    unit: 'names',
    default: '',
    doc: 'Host names that may be asked for, separated by commas. Empty: loopback names there, any name elsewhere.',
    schema: list,
  }),
  trustedProxies: option({
    env: 'PARLEY_TRUSTED_PROXIES',
    unit: 'addresses',
    default: '',
    doc: 'Proxies in front, as addresses or CIDRs: who they name last in X-Forwarded-For is the address that limits count.',
    schema: list.pipe(z.array(network)),
  }),
  // ------------------------------------------------------------------------------------------- how much
  sessionsMax: option({
    env: 'PARLEY_SESSIONS_MAX',
    unit: 'connections',
    default: '50000',
    doc: 'Open connections of this node; more: 503.',
    schema: whole(1, 2_000_000),
  }),
  sessionsPerOwner: option({
    env: 'PARLEY_SESSIONS_PER_OWNER',
    unit: 'connections',
    default: '200',
    doc: 'Open connections of one owner on this node; more: close too_many.',
    schema: whole(1, 2_000_000),
  }),
  sessionsPerAddress: option({
    env: 'PARLEY_SESSIONS_PER_ADDRESS',
    unit: 'connections',
    default: '20000',
    doc: 'Open connections from one address (IPv6: one /64); more: 429. See PARLEY_TRUSTED_PROXIES.',
    schema: whole(1, 2_000_000),
  }),
  addressConnectsPerSecond: option({
    env: 'PARLEY_ADDRESS_CONNECTS_PER_SECOND',
    unit: 'connections/s',
    default: '50',
    doc: 'New connections from one address (IPv6: one /64); more: 429. See PARLEY_TRUSTED_PROXIES.',
    schema: whole(1, 1_000_000),
  }),
  addressConnectsBurst: option({
    env: 'PARLEY_ADDRESS_CONNECTS_BURST',
    unit: 'connections',
    default: '500',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  addressRefusalsPerSecond: option({
    env: 'PARLEY_ADDRESS_REFUSALS_PER_SECOND',
    unit: 'connections/s',
    default: '10',
    doc: 'Connections from one address that come with a bad credential; more: 429 for all of them.',
    schema: whole(1, 1_000_000),
  }),
  addressRefusalsBurst: option({
    env: 'PARLEY_ADDRESS_REFUSALS_BURST',
    unit: 'connections',
    default: '200',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  attachmentsPerOwner: option({
    env: 'PARLEY_ATTACHMENTS_PER_OWNER',
    unit: 'attachments',
    default: '2000',
    doc: 'Chats that the connections of one owner follow on this node; more: refused with too_many.',
    schema: whole(1, 10_000_000),
  }),
  commandsPerSecond: option({
    env: 'PARLEY_COMMANDS_PER_SECOND',
    unit: 'requests/s',
    default: '100',
    doc: 'Commands, queries, watches and attaches of one connection; more: rate_limited, and a close after as many refusals again.',
    schema: whole(1, 1_000_000),
  }),
  commandsBurst: option({
    env: 'PARLEY_COMMANDS_BURST',
    unit: 'requests',
    default: '500',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  ownerCommandsPerSecond: option({
    env: 'PARLEY_OWNER_COMMANDS_PER_SECOND',
    unit: 'requests/s',
    default: '200',
    doc: 'Commands, queries, watches and attaches of one owner over all connections to this node; more: rate_limited.',
    schema: whole(1, 1_000_000),
  }),
  ownerCommandsBurst: option({
    env: 'PARLEY_OWNER_COMMANDS_BURST',
    unit: 'requests',
    default: '1000',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  ownerActivationsPerSecond: option({
    env: 'PARLEY_OWNER_ACTIVATIONS_PER_SECOND',
    unit: 'chats/s',
    default: '100',
    doc: 'Chats of one owner that are loaded from the database on this node; more: rate_limited.',
    schema: whole(1, 1_000_000),
  }),
  ownerActivationsBurst: option({
    env: 'PARLEY_OWNER_ACTIVATIONS_BURST',
    unit: 'chats',
    default: '1000',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  framesPerSecond: option({
    env: 'PARLEY_FRAMES_PER_SECOND',
    unit: 'frames/s',
    default: '500',
    doc: 'Frames that a client may send; more: close rate_limited.',
    schema: whole(1, 1_000_000),
  }),
  framesBurst: option({
    env: 'PARLEY_FRAMES_BURST',
    unit: 'frames',
    default: '2000',
    doc: 'How many of them at once.',
    schema: whole(1, 1_000_000),
  }),
  helloTimeoutMs: option({
    env: 'PARLEY_HELLO_TIMEOUT_MS',
    unit: 'ms',
    default: '5000',
    doc: 'From the open connection to a good hello; later: close hello_timeout.',
    schema: whole(1, 60_000),
  }),
  outboxSoftBytes: option({
    env: 'PARLEY_OUTBOX_SOFT_BYTES',
    unit: 'bytes',
    default: '65536',
    doc: 'A connection that has more than this buffered is sent nothing more until it has read.',
    schema: whole(1_024, 67_108_864),
  }),
  outboxHardBytes: option({
    env: 'PARLEY_OUTBOX_HARD_BYTES',
    unit: 'bytes',
    default: '1048576',
    doc: 'A connection that has more than this buffered and waiting is closed as slow.',
    schema: whole(65_536, 268_435_456),
  }),
  drainSpreadMs: option({
    env: 'PARLEY_DRAIN_SPREAD_MS',
    unit: 'ms',
    default: '5000',
    doc: 'On a graceful stop clients are asked to come back at times spread over this.',
    schema: whole(0, 600_000),
  }),
  drainTimeoutMs: option({
    env: 'PARLEY_DRAIN_TIMEOUT_MS',
    unit: 'ms',
    default: '10000',
    doc: 'How long a graceful stop waits for running turns before it leaves them to the next start.',
    schema: whole(0, 3_600_000),
  }),
};

export type OptionName = keyof typeof OPTIONS;

/** The longest prompt, in bytes of UTF-8 without NUL. */
export function fitsPrompt(prompt: string): boolean {
  return Buffer.byteLength(prompt) <= SYSTEM_PROMPT_BYTES_MAX && !prompt.includes('\0') && prompt.isWellFormed();
}

/** `dataDir` → `data-dir`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
