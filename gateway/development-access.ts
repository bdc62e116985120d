// Access on a developer's machine: a secret in the data folder, and a token signed with it in a file beside it, where the
// terminal client finds it. Only for nodes on a loopback address that were given no secret of their own.
//
// The secret stays the same over restarts, so that tokens do too. Both files are readable by their user only.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../actors/ports.ts';
import { type JwtOptions, SECRET_BYTES_MIN, signToken } from './authentication.ts';
import { StartError } from './start-error.ts';

const SECRET_FILE = 'dev-secret';
export const TOKEN_FILE = 'dev-token.json';
const SUBJECT = 'dev';
const TOKEN_MS = 30 * 24 * 60 * 60 * 1000;
const PRIVATE = 0o600;

/** The secret of the data folder, made on the first start. Throws a `StartError`. */
export function developmentSecret(dataDir: string): Uint8Array {
  const file = join(dataDir, SECRET_FILE);
  return guarded(dataDir, () => {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const known = readIfThere(file);
    const secret = known ?? randomBytes(SECRET_BYTES_MIN).toString('base64url');
    if (known === null) replaceFile(file, secret);
    else chmodSync(file, PRIVATE);
    const bytes = new TextEncoder().encode(secret);
    if (bytes.length >= SECRET_BYTES_MIN) return bytes;
    throw new StartError(`${file} is damaged. Delete it; tokens made with it end.`);
  });
}

/** Signs a token for the developer and writes `{url, token}` for the terminal client. Throws a `StartError`. */
export async function issueDevelopmentToken(
  dataDir: string,
  { url, jwt, clock }: { readonly url: string; readonly jwt: JwtOptions; readonly clock: Clock },
): Promise<string> {
  const token = await signToken(jwt, { subject: SUBJECT, expiresAtMs: clock.nowMs() + TOKEN_MS });
  guarded(dataDir, () => replaceFile(join(dataDir, TOKEN_FILE), `${JSON.stringify({ url, token })}\n`));
  return token;
}

/** A token of an earlier start would only puzzle the terminal client. */
export function forgetDevelopmentToken(dataDir: string): void {
  guarded(dataDir, () => rmSync(join(dataDir, TOKEN_FILE), { force: true }));
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** A reader sees the old content or the new one, and nobody else ever sees either. */
function replaceFile(file: string, content: string): void {
  const next = `${file}.${process.pid}`;
  writeFileSync(next, content, { mode: PRIVATE, flag: 'w' });
  renameSync(next, file);
}

function guarded<T>(dataDir: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    throw new StartError(
      `The data folder ${dataDir} cannot be used (${String(error.code)}). Choose one that this user may write to with --data-dir.`,
      { cause: error },
    );
  }
}
