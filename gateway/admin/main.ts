// `npm run admin`: API tokens, and owners that are shut out.
//
// Exit codes: 0 done, 1 it could not be done, 2 bad options.

import { explain, Failure } from '../../protocol/cli/connect.ts';
import { sanitizeLine } from '../../protocol/cli/sanitize.ts';
import * as access from '../../protocol/client/access-calls.ts';
import { ClientError, CommandError } from '../../protocol/client/index.ts';
import type { TokenInfo } from '../../protocol/wire-token.ts';
import { StorageError } from '../../storage/errors.ts';
import { readConfig } from '../config.ts';
import { StartError } from '../start-error.ts';
import { systemRandom } from '../system-ports.ts';
import { HELP } from './help.ts';
import { parseOptions, type Task } from './options.ts';
import { reach } from './reach.ts';

process.exitCode = await main();
// A socket that is still closing must not hold the process; what was written must get out.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit();

async function main(): Promise<number> {
  const parsed = parseOptions(process.argv.slice(2), Date.now());
  if (parsed.kind === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (parsed.kind === 'faults') return faulty(parsed.faults);
  const { task, json, dataDir } = parsed.options;
  const config = readConfig(dataDir === null ? [] : [`--data-dir=${dataDir}`]);
  if (config.outcome !== 'config') return faulty(config.outcome === 'faults' ? config.faults : []);
  try {
    const reached = await reach(config.config.databaseUrl, config.config.dataDir);
    try {
      const { said, text, value } = await run(task, reached.caller);
      process.stderr.write(`${said} Done ${reached.way}.\n`);
      process.stdout.write(json ? `${JSON.stringify(value)}\n` : text);
    } finally {
      await reached.close();
    }
    return 0;
  } catch (error) {
    process.stderr.write(`parley: ${fault(error)}\n`);
    return 1;
  }
}

function faulty(faults: readonly string[]): number {
  process.stderr.write(`${faults.map((line) => `parley: ${line}\n`).join('')}npm run -s admin -- --help says more.\n`);
  return 2;
}

/** One line that says what to do; the stack only for what should not have happened. */
function fault(error: unknown): string {
  if (error instanceof StorageError || error instanceof StartError) return error.message;
  if (error instanceof CommandError || error instanceof ClientError || error instanceof Failure) return explain(error);
  return `a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

/** For people who look, for standard output, and for --json. */
type Outcome = { readonly said: string; readonly text: string; readonly value: unknown };

async function run(task: Task, caller: access.Caller): Promise<Outcome> {
  switch (task.name) {
    case 'token create': {
      const { owner, role, label: name, expiresAtMs } = task;
      const { token, info } = await access.createToken(caller, systemRandom.bytes(32), {
        owner,
        role,
        ...(name === null ? {} : { name }),
        ...(expiresAtMs === null ? {} : { expiresAtMs }),
      });
      const end = info.expires_at === null ? 'without an end' : `until ${day(info.expires_at)}`;
      const said = `Token ${info.id} of ${sanitizeLine(owner)}, ${role}, ${end}; it is shown this once.`;
      return { said, text: `${token}\n`, value: { token, ...info } };
    }
    case 'token list': {
      const tokens = await allTokens(caller, task.owner);
      return {
        said: `${tokens.length} ${tokens.length === 1 ? 'token' : 'tokens'}.`,
        text: tokens.map(line).join(''),
        value: { tokens },
      };
    }
    case 'token revoke':
      await access.revokeToken(caller, task.id);
      return { said: `Token ${task.id} is revoked.`, text: '', value: { id: task.id } };
    case 'owner revoke': {
      const owner = await access.revokeOwner(caller, task.owner);
      return { said: `${sanitizeLine(owner)} is shut out.`, text: '', value: { owner } };
    }
    case 'owner restore': {
      const owner = await access.restoreOwner(caller, task.owner);
      return { said: `${sanitizeLine(owner)} may come in again.`, text: '', value: { owner } };
    }
  }
}

async function allTokens(caller: access.Caller, owner: string | null): Promise<readonly TokenInfo[]> {
  const tokens: TokenInfo[] = [];
  let after: access.TokenCursor | null = null;
  do {
    const page: access.TokenPage = await access.listTokens(caller, owner === null ? { after } : { owner, after });
    tokens.push(...page.tokens);
    after = page.next;
  } while (after !== null);
  return tokens;
}

/** `id  state  role  owner  created  last use  name`. */
function line(token: TokenInfo): string {
  const cells = [
    token.id,
    state(token).padEnd(16),
    token.role.padEnd(7),
    sanitizeLine(token.owner),
    `made ${day(token.created_at)}`,
    token.last_used_at === null ? 'never used' : `used ${day(token.last_used_at)}`,
    sanitizeLine(token.name ?? ''),
  ];
  return `${cells.join('  ').trimEnd()}\n`;
}

function state({ revoked_at: revokedAt, expires_at: expiresAt }: TokenInfo): string {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt === null) return 'in force';
  return expiresAt <= Date.now() ? 'ended' : `until ${day(expiresAt)}`;
}

function day(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
