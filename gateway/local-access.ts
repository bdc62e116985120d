// What a node leaves in its data folder for those who may read it, who could read its database there as well.
//
// For a developer: a secret, and a token signed with it, where the terminal client finds it; only on a loopback address and
// when the node was given no keys. The secret stays the same over restarts, so that tokens do too.
// For the administrator's command line: a token of this process alone, gone with it; only with the embedded database, which
// nobody else can open meanwhile. All files are readable by their user only.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../actors/ports.ts';
import { makeApiToken } from '../protocol/api-token.ts';
import type { OwnerId } from '../protocol/ids.ts';
import { type Bearer, type JwtOptions, SECRET_BYTES_MIN, signToken } from './authentication.ts';
import { StartError } from './start-error.ts';

const SECRET_FILE = 'dev-secret';
const ADMIN_FILE = 'admin-token.json';
export const TOKEN_FILE = 'dev-token.json';
const SUBJECT = 'dev';
const TOKEN_MS = 30 * 24 * 60 * 60 * 1000;
const PRIVATE = 0o600;
const ADDRESS = z.object({ url: z.string(), token: z.string() });

/** Where a node is, and a credential for it. */
export type NodeAddress = { readonly url: string; readonly token: string };

export type LocalAdmin = { readonly token: string; readonly hash: Uint8Array; readonly principal: Bearer };

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

/** A token of an administrator that no database knows: it is in force as long as the process that made it. */
export async function makeLocalAdmin(): Promise<LocalAdmin> {
  return {
    ...(await makeApiToken(randomBytes(32))),
    principal: { owner: 'local-admin' as OwnerId, role: 'admin', groups: [] },
  };
}

export function leaveAdminToken(dataDir: string, address: NodeAddress): void {
  guarded(dataDir, () => replaceFile(join(dataDir, ADMIN_FILE), `${JSON.stringify(address)}\n`));
}

export function forgetAdminToken(dataDir: string): void {
  guarded(dataDir, () => rmSync(join(dataDir, ADMIN_FILE), { force: true }));
}

/** As the node that holds the folder left it; null when there is none, or it is damaged. */
export function readAdminToken(dataDir: string): NodeAddress | null {
  const text = guarded(dataDir, () => readIfThere(join(dataDir, ADMIN_FILE)));
  const parsed = ADDRESS.safeParse(parseJson(text ?? ''));
  return parsed.success ? parsed.data : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
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
