// Reads the configuration once: flags before environment before defaults. All faults are found in one go and each one
// says what to do; the result is frozen and handed down. Nothing else in Parley reads the environment.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { must } from '../protocol/assert.ts';
import { isLoopback } from './admission.ts';
import { clusterFaults } from './config-cluster-options.ts';
import { flagName, type OptionName, OPTIONS } from './config-options.ts';
import { fitsPrompt, type Option } from './option-schemas.ts';
import { nearest } from './nearest.ts';

type Value<O> = O extends Option<infer T> ? (O extends { readonly default: null } ? T | null : T) : never;
export type Config = { readonly [Name in OptionName]: Value<(typeof OPTIONS)[Name]> };

export type ConfigResult =
  | {
      readonly outcome: 'config';
      readonly config: Config;
      /** Options that nobody set. */
      readonly defaulted: ReadonlySet<OptionName>;
    }
  | { readonly outcome: 'help'; readonly text: string }
  /** One line each. */
  | { readonly outcome: 'faults'; readonly faults: readonly string[] };

export type Environment = Readonly<Record<string, string | undefined>>;

const NAMES = Object.keys(OPTIONS) as readonly OptionName[];

/** Parses the arguments behind `gateway/main.ts` and the environment. Reads the file of the system prompt, if any. */
export function readConfig(args: readonly string[], environment: Environment = process.env): ConfigResult {
  const faults: string[] = [];
  const flags = readFlags(args, faults);
  if (flags.help) return { outcome: 'help', text: helpText() };
  checkVariables(environment, faults);
  const values: Record<string, unknown> = {};
  const defaulted = new Set<OptionName>();
  for (const name of NAMES) {
    const option: Option<unknown> = OPTIONS[name];
    // An empty variable counts as not set: that is how one is taken away in a compose file.
    const given = flags.values.get(name) ?? (environment[option.env] || null);
    if (given === null) defaulted.add(name);
    const written = given ?? option.default;
    if (written === null) values[name] = null;
    else if (!parse(name, written, { values, faults })) values[name] = FAULTY;
  }
  readPromptFile(values, faults);
  // Every option went through its schema, is the null of one that is not set, or is FAULTY, and then so is the result.
  const config = values as Config;
  faults.push(...contradictions(config));
  if (faults.length > 0) return { outcome: 'faults', faults };
  return { outcome: 'config', config: Object.freeze(config), defaulted };
}

/** In the place of a value that is not valid: compares false with everything, so that it contradicts nothing. */
const FAULTY = Number.NaN;

/** How to set an option, for messages: `--port (PARLEY_PORT)`. */
export function howToSet(name: OptionName): string {
  const { env, secret } = OPTIONS[name];
  return secret ? env : `--${flagName(name)} (${env})`;
}

function readFlags(
  args: readonly string[],
  faults: string[],
): { readonly help: boolean; readonly values: ReadonlyMap<OptionName, string> } {
  const byFlag = new Map(NAMES.map((name) => [flagName(name), name]));
  const values = new Map<OptionName, string>();
  const { tokens } = parseArgs({ args: joinValues(args), strict: false, allowPositionals: true, tokens: true });
  let help = false;
  for (const token of tokens) {
    if (token.kind === 'positional')
      faults.push(`"${token.value}" is not an option. Options begin with --; see --help.`);
    if (token.kind !== 'option') continue;
    if (token.name === 'help' || token.name === 'h') {
      help = true;
      continue;
    }
    const name = byFlag.get(token.name);
    if (name === undefined)
      faults.push(`Unknown option ${token.rawName}.${meant(token.name, [...byFlag.keys()], '--')}`);
    else if (OPTIONS[name].secret) {
      faults.push(
        `${token.rawName}: secrets are not taken as arguments, which others can see. Set ${OPTIONS[name].env}.`,
      );
    } else if (token.value === undefined && OPTIONS[name].unit === 'yes|no') {
      values.set(name, 'yes');
    } else if (token.value === undefined || token.value === '') {
      faults.push(`--${token.name} needs a value: --${token.name}=<${OPTIONS[name].unit}>.`);
    } else values.set(name, token.value);
  }
  return { help, values };
}

/** `--port 1` → `--port=1`: every flag of ours has a value, and so most likely has a misspelt one. */
function joinValues(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = must(args[i], 'the index is within the arguments');
    const next = args[i + 1];
    if (/^--[^=]+$/.test(arg) && arg !== '--help' && next !== undefined && !next.startsWith('-')) {
      joined.push(`${arg}=${next}`);
      i += 1;
    } else joined.push(arg);
  }
  return joined;
}

/**
 * A misspelt variable would be ignored in silence. Only near misses count: an orchestrator sets variables of its own
 * after the name of the service (`PARLEY_SERVICE_HOST`), and the terminal client has some too.
 */
function checkVariables(environment: Environment, faults: string[]): void {
  const known = NAMES.map((name) => OPTIONS[name].env);
  const others = new Set(['PARLEY_URL', 'PARLEY_TOKEN']);
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith('PARLEY_') || known.includes(variable) || others.has(variable)) continue;
    const near = nearest(variable, known);
    if (near !== null) faults.push(`Unknown variable ${variable}. Did you mean ${near}? Else unset it.`);
  }
}

/** Writes the value; false, with a fault, when it is not valid. */
function parse(
  name: OptionName,
  written: string,
  { values, faults }: { readonly values: Record<string, unknown>; readonly faults: string[] },
): boolean {
  const option: Option<unknown> = OPTIONS[name];
  const result = option.schema.safeParse(written);
  if (result.success) {
    values[name] = result.data;
    return true;
  }
  const [issue] = result.error.issues;
  const shown = option.secret ? '' : `, not ${JSON.stringify(written.slice(0, 80))}`;
  faults.push(`${howToSet(name)} ${issue?.message ?? 'is not valid'}${shown}.`);
  return false;
}

function readPromptFile(values: Record<string, unknown>, faults: string[]): void {
  const file = values['systemPromptFile'];
  if (typeof file !== 'string') return;
  if (values['systemPrompt'] !== null) {
    faults.push(`Set only one of ${howToSet('systemPrompt')} and ${howToSet('systemPromptFile')}.`);
    return;
  }
  try {
    const prompt = readFileSync(file, 'utf8');
    if (fitsPrompt(prompt)) values['systemPrompt'] = prompt;
    else faults.push(`${howToSet('systemPromptFile')}: ${file} must hold at most 128 KiB of text.`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    faults.push(`${howToSet('systemPromptFile')}: ${file} cannot be read (${code}).`);
  }
}

/** The node was told whose credentials count; else it makes a development token. */
export function hasKeys({ jwtSecret, jwksUrl }: Pick<Config, 'jwtSecret' | 'jwksUrl'>): boolean {
  return jwtSecret !== null || jwksUrl !== null;
}

/** What no option can say for itself. */
function contradictions(config: Config): string[] {
  const faults: string[] = [];
  if (typeof config.host === 'string' && !isLoopback(config.host) && !hasKeys(config)) {
    faults.push(
      `${howToSet('host')} ${config.host} can be reached from elsewhere, where a development token would let anybody in. ` +
        'Set PARLEY_JWT_SECRET or PARLEY_JWKS_URL, or listen on 127.0.0.1.',
    );
  }
  faults.push(...compatibleFaults(config), ...clusterFaults(config));
  if (config.outboxSoftBytes >= config.outboxHardBytes) {
    faults.push(`${howToSet('outboxSoftBytes')} must be below ${howToSet('outboxHardBytes')}.`);
  }
  if (config.retryBaseMs > config.retryCeilingMs) {
    faults.push(`${howToSet('retryBaseMs')} must not be above ${howToSet('retryCeilingMs')}.`);
  }
  if (config.jwksCaFile !== null && config.jwksUrl === null) {
    faults.push(`${howToSet('jwksCaFile')} is for ${howToSet('jwksUrl')}, which is not set.`);
  }
  if (config.framesPerSecond > config.framesBurst) {
    faults.push(`${howToSet('framesPerSecond')} must not be above ${howToSet('framesBurst')}.`);
  }
  return faults;
}

/** The server and its models are only of use together. */
function compatibleFaults({ compatibleBaseUrl, compatibleModels, compatibleApiKey }: Config): string[] {
  const offersModels = Array.isArray(compatibleModels) && compatibleModels.length > 0;
  if (typeof compatibleBaseUrl === 'string' && Array.isArray(compatibleModels) && !offersModels) {
    return [`${howToSet('compatibleBaseUrl')} needs the names of its models: set ${howToSet('compatibleModels')}.`];
  }
  if (compatibleBaseUrl !== null || (!offersModels && compatibleApiKey === null)) return [];
  const set = offersModels ? 'compatibleModels' : 'compatibleApiKey';
  return [`${howToSet(set)} is for a server of your own: set ${howToSet('compatibleBaseUrl')}.`];
}

function meant(written: string, known: readonly string[], prefix: string): string {
  const near = nearest(written, known);
  return near === null ? ' See --help.' : ` Did you mean ${prefix}${near}?`;
}

function helpText(): string {
  const rows = NAMES.map((name) => {
    const { env, secret, unit, doc } = OPTIONS[name];
    const byDefault = OPTIONS[name].default;
    const shown = byDefault === null || byDefault === '' ? 'not set' : byDefault;
    const head = secret ? `${env}=<${unit}>   (only as a variable)` : `--${flagName(name)} <${unit}>   ${env}`;
    return `  ${head}\n      ${doc}\n      Default: ${shown}.`;
  });
  return [
    'Parley: a realtime gateway and runtime for AI chats.',
    '',
    'Usage: npm start [-- <options>]',
    '',
    'Each option is a flag or an environment variable; a flag wins.',
    '',
    ...rows,
    '  --help\n      This text.',
    '',
  ].join('\n');
}
