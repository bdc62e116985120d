// API tokens: credentials of bots. Whoever wants one makes it, hands the server its hash and keeps the text: the secret is
// in no command, no reply, no row and no log, and crosses the wire in `hello` and `auth` only (SPEC.md §8, adr 0014).

const PREFIX = 'parley_';
/** 256 bits: 43 characters of base64url. */
const SECRET_BYTES = 32;
/** The first 4 bytes of the SHA-256 of all before: 6 characters. A scanner, and the server, tell a typo from a token. */
const CHECKSUM_BYTES = 4;
const FORM = /^parley_[A-Za-z0-9_-]{43}[A-Za-z0-9_-]{6}$/;
const CHECKSUM_CHARS = 6;

export type ApiToken = { readonly token: string; readonly hash: Uint8Array };

/** A token of 32 random bytes. */
export async function makeApiToken(secret: Uint8Array): Promise<ApiToken> {
  if (secret.length !== SECRET_BYTES) throw new RangeError(`a token is made of ${SECRET_BYTES} random bytes`);
  const body = PREFIX + base64url(secret);
  const token = body + (await checksum(body));
  return { token, hash: await sha256(token) };
}

/** Whether a credential claims to be an API token: no JWT begins so. */
export function looksLikeApiToken(credential: string): boolean {
  return credential.startsWith(PREFIX);
}

/** What the server knows of a token; null for what was never one. */
export async function hashApiToken(token: string): Promise<Uint8Array | null> {
  if (!FORM.test(token)) return null;
  const body = token.slice(0, -CHECKSUM_CHARS);
  return (await checksum(body)) === token.slice(-CHECKSUM_CHARS) ? sha256(token) : null;
}

async function checksum(body: string): Promise<string> {
  return base64url((await sha256(body)).subarray(0, CHECKSUM_BYTES));
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
