// DATABASE_URL, read here and not by postgres.js, which fills what is missing from the environment.

import type { DatabaseAddress } from './connection.ts';
import { StorageError } from './errors.ts';

const FORM = 'postgres://user:password@host:5432/database?sslmode=verify-full';
const TLS = new Map<string, DatabaseAddress['tls']>([
  ['disable', 'off'],
  ['require', 'encrypted'],
  ['verify-full', 'verified'],
]);

/**
 * `sslmode`: `disable`, `require` (encrypted, whoever the server is) or `verify-full`; without one, off towards this
 * machine and `require` else. `?host=/run/postgresql`: the folder of a Unix socket, in place of the host. Throws `StorageError`.
 */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw badUrl('it is not a URL that begins with postgres://');
  }
  const folder = url.searchParams.get('host');
  if (url.hostname === '') throw badUrl('it names no host');
  const user = decode(url.username);
  if (user === '') throw badUrl('it names no user');
  const port = url.port === '' ? 5432 : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  for (const name of url.searchParams.keys()) {
    if (name !== 'sslmode' && name !== 'host') throw badUrl(`the parameter ${name} is not known`);
  }
  return {
    host,
    port,
    path: folder === null ? null : `${folder}/.s.PGSQL.${port}`,
    database: decode(url.pathname.slice(1)) || user,
    user,
    password: decode(url.password),
    tls: folder === null ? tlsOf(url.searchParams.get('sslmode'), host) : 'off',
    embedded: false,
  };
}

function tlsOf(mode: string | null, host: string): DatabaseAddress['tls'] {
  if (mode === null) return /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host) ? 'off' : 'encrypted';
  const tls = TLS.get(mode);
  if (tls === undefined) throw badUrl(`sslmode is one of ${[...TLS.keys()].join(', ')}`);
  return tls;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badUrl('it holds a % that escapes nothing; write it as %25');
  }
}

/** The URL itself is not repeated: it holds a password. */
function badUrl(why: string): StorageError {
  return new StorageError('bad_url', `DATABASE_URL cannot be used: ${why}. It looks like ${FORM}`);
}
