// The administrator's command line: parsed once, all faults reported together.

import { parseArgs } from 'node:util';
import { parseUuid, type TokenId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { ROLES, type PrincipalRole } from '../../protocol/wire-token.ts';
import { isName, isRole, SUBJECT_BYTES_MAX } from '../authentication.ts';

export type Task =
  | {
      readonly name: 'token create';
      readonly owner: string;
      readonly label: string | null;
      readonly role: PrincipalRole;
      readonly expiresAtMs: number | null;
    }
  | { readonly name: 'token list'; readonly owner: string | null }
  | { readonly name: 'token revoke'; readonly id: TokenId }
  | { readonly name: 'owner revoke' | 'owner restore'; readonly owner: string };

export type Options = { readonly task: Task; readonly json: boolean; readonly dataDir: string | null };

export type Parsed =
  | { readonly kind: 'help' }
  | { readonly kind: 'options'; readonly options: Options }
  | { readonly kind: 'faults'; readonly faults: readonly string[] };

const SCHEMA = {
  help: { type: 'boolean', short: 'h' },
  json: { type: 'boolean' },
  owner: { type: 'string' },
  name: { type: 'string' },
  role: { type: 'string' },
  expires: { type: 'string' },
  'data-dir': { type: 'string' },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof SCHEMA }>>['values'];

/** Which of the options belong to a task, and what stands behind it. */
const TASKS: Readonly<Record<Task['name'], { readonly takes: readonly string[]; readonly argument: string | null }>> = {
  'token create': { takes: ['owner', 'name', 'role', 'expires'], argument: null },
  'token list': { takes: ['owner'], argument: null },
  'token revoke': { takes: [], argument: 'the id of a token' },
  'owner revoke': { takes: [], argument: 'an owner' },
  'owner restore': { takes: [], argument: 'an owner' },
};
const TASK_NAMES = Object.keys(TASKS) as readonly Task['name'][];
const COMMON = ['json', 'data-dir'];

export function parseOptions(args: readonly string[], nowMs: number): Parsed {
  let values: Values;
  let words: readonly string[];
  try {
    ({ values, positionals: words } = parseArgs({ args: [...args], options: SCHEMA, allowPositionals: true }));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'faults', faults: [`${message.split('. ')[0]}.`.replace(/\.\.$/, '.')] };
  }
  if (values.help === true) return { kind: 'help' };
  const name = TASK_NAMES.find((task) => task === words.slice(0, 2).join(' '));
  if (name === undefined) return { kind: 'faults', faults: [`Say what to do: ${TASK_NAMES.join(', ')}.`] };
  const faults: string[] = [];
  const { takes, argument } = TASKS[name];
  for (const option of Object.keys(values)) {
    if (!takes.includes(option) && !COMMON.includes(option)) faults.push(`--${option} is not for ${name}.`);
  }
  const [subject = '', ...rest] = words.slice(2);
  if (argument !== null && subject === '') faults.push(`${name} needs ${argument}.`);
  const stray = argument === null ? words.slice(2) : rest;
  if (stray.length > 0) faults.push(`Not understood: ${stray.map((word) => JSON.stringify(word)).join(', ')}.`);
  const task = parseTask(name, { subject, values, faults, nowMs });
  if (faults.length > 0) return { kind: 'faults', faults };
  return { kind: 'options', options: { task, json: values.json ?? false, dataDir: values['data-dir'] ?? null } };
}

type Given = {
  readonly subject: string;
  readonly values: Values;
  readonly faults: string[];
  readonly nowMs: number;
};

function parseTask(name: Task['name'], { subject, values, faults, nowMs }: Given): Task {
  switch (name) {
    case 'token create': {
      if (values.owner === undefined) faults.push('token create needs --owner: whose chats the token opens.');
      const owner = values.owner === undefined ? '' : parseOwner(values.owner, '--owner', faults);
      const label = values.name ?? null;
      if (label !== null && (label.trim() === '' || label.length > LIMITS.titleChars)) {
        faults.push(`--name has 1 to ${LIMITS.titleChars} characters.`);
      }
      const role = values.role ?? 'member';
      if (!isRole(role)) faults.push(`--role is one of ${ROLES.join(', ')}, not ${JSON.stringify(role)}.`);
      const expiresAtMs = values.expires === undefined ? null : parseEnd(values.expires, faults, nowMs);
      return { name, owner, label, role: isRole(role) ? role : 'member', expiresAtMs };
    }
    case 'token list':
      return { name, owner: values.owner === undefined ? null : parseOwner(values.owner, '--owner', faults) };
    case 'token revoke': {
      const id = parseUuid<TokenId>(subject);
      if (id === null && subject !== '') faults.push(`${JSON.stringify(subject)} is not the id of a token.`);
      return { name, id: id ?? ('' as TokenId) };
    }
    case 'owner revoke':
    case 'owner restore':
      return { name, owner: subject === '' ? '' : parseOwner(subject, 'An owner', faults) };
  }
}

function parseOwner(text: string, what: string, faults: string[]): string {
  if (!isName(text, SUBJECT_BYTES_MAX)) faults.push(`${what} has 1 to ${SUBJECT_BYTES_MAX} bytes of text.`);
  return text;
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90m`, `12h`, `30d` from now, or a date such as `2030-01-01` or `2030-01-01T12:00:00Z`. */
function parseEnd(text: string, faults: string[], nowMs: number): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const isDate = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z)?$/.test(text);
  const endMs = isDate ? Date.parse(text) : nowMs + Number(count) * (UNITS_MS[unit] ?? Number.NaN);
  if (!(endMs > nowMs && endMs <= nowMs + LIMITS.tokenLifeMs)) {
    faults.push(
      `--expires is a time within the next 10 years, such as 12h, 30d or 2030-01-01, not ${JSON.stringify(text)}.`,
    );
  }
  return endMs;
}
