// Where the node is: as told, or as the local node wrote it into its data folder.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Target } from './options.ts';

export type NodeAddress = { readonly url: string; readonly token: string };

export type Found =
  | { readonly kind: 'found'; readonly address: NodeAddress }
  | { readonly kind: 'missing'; readonly why: string };

/** Written by a node that listens on the loopback interface, as `{"url": …, "token": …}`, readable by its owner only. */
const TOKEN_FILE = 'dev-token.json';

export function findNode(target: Target): Found {
  if (target.url !== null && target.token !== null) {
    return { kind: 'found', address: { url: target.url, token: target.token } };
  }
  const path = join(target.dataDir, TOKEN_FILE);
  const local = readTokenFile(path);
  if (typeof local === 'string') return { kind: 'missing', why: local };
  // The token of this machine's node is for that node only: it never goes to an address that was given.
  return { kind: 'found', address: { url: local.url, token: target.token ?? local.token } };
}

/** The address, or a sentence that says what to do. */
function readTokenFile(path: string): NodeAddress | string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    return code === 'ENOENT'
      ? `No Parley node has left its address in ${resolve(path)}. Start one with: npm start (or give --url and --token).`
      : `${resolve(path)} cannot be read (${String(code)}). It belongs to whoever started the node.`;
  }
  return parseTokenFile(text) ?? `${resolve(path)} is not what a node writes. Start the node again with: npm start`;
}

function parseTokenFile(text: string): NodeAddress | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('url' in value) || !('token' in value)) return null;
    const { url, token } = value;
    return typeof url === 'string' && typeof token === 'string' ? { url: url.replace(/^http/, 'ws'), token } : null;
  } catch {
    return null;
  }
}
