// Who may come in and what they may do, put together: keys, tokens, revocations, and the host behind them.

import { readFileSync } from 'node:fs';
import type { ChatHost } from '../actors/host/api.ts';
import type { Clock } from '../actors/ports.ts';
import type { ErrorBody } from '../protocol/errors.ts';
import type { OpenStore } from '../storage/store.ts';
import { AccessCommands } from './access-commands.ts';
import { AccessGate } from './access-gate.ts';
import { type Authenticate, type Bearer, createAuthenticator, type JwtOptions } from './authentication.ts';
import { AuthorisedHost } from './authorised-host.ts';
import { type Config, howToSet } from './config.ts';
import { createCredentials } from './credentials.ts';
import { documentFetcher } from './fetch-document.ts';
import { Jwks, JWKS_LIMITS } from './jwks.ts';
import type { LocalAdmin } from './local-access.ts';
import type { Logger } from './logger.ts';
import type { SessionRegistry } from './session-registry.ts';
import { StartError } from './start-error.ts';

export type AccessParts = {
  readonly config: Config;
  readonly database: Pick<OpenStore, 'access' | 'store' | 'embedded'>;
  readonly host: ChatHost;
  readonly registry: SessionRegistry;
  /** Null: no shared secret signs credentials. */
  readonly jwt: JwtOptions | null;
  readonly local: LocalAdmin | null;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Something was revoked here: other nodes need not wait until they look. */
  readonly onRevoked?: () => void;
};

export type Access = {
  readonly authenticate: Authenticate;
  /** For sessions, in place of the host itself. */
  readonly host: ChatHost;
  /** For what is done beside the host. */
  readonly objection: (bearer: Bearer) => Promise<ErrorBody | null>;
  /** Another node has revoked something: looks now. */
  refresh(): void;
  stop(): Promise<void>;
};

/** Throws a `StartError`. */
export async function openAccess(parts: AccessParts): Promise<Access> {
  const { config, database, host, registry, jwt, local, clock, logger } = parts;
  const { access, store } = database;
  const keys = config.jwksUrl === null ? null : openJwks(config, config.jwksUrl, { clock, logger });
  const gate = await AccessGate.open({
    access,
    shared: !database.embedded,
    clock,
    log: logger,
    apply: (revocation) => registry.revoke(revocation),
  });
  keys?.start();
  const { jwtIssuer: issuer, jwtAudience: audience } = config;
  if (keys !== null && issuer === null && audience === null) {
    logger.warn('any token that the issuer of the key set signed is taken: set an issuer or an audience');
  }
  const jwtKeys = { secret: jwt?.secret ?? null, issuer, audience, ...(keys === null ? {} : { keys }) };
  const revoked = (): Promise<boolean> => {
    parts.onRevoked?.();
    return gate.refresh();
  };
  const commands = new AccessCommands({ access, store, clock, revoked });
  return {
    authenticate: createCredentials({ access, jwt: createAuthenticator(jwtKeys, clock), clock, local }),
    host: new AuthorisedHost(host, gate, commands),
    objection: (bearer) => gate.objection(bearer),
    refresh: () => void gate.refresh(),
    stop: async () => {
      await keys?.stop();
      await gate.stop();
    },
  };
}

function openJwks(
  config: Config,
  url: string,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Jwks {
  const { bytesMax, timeoutMs } = JWKS_LIMITS;
  const ca = config.jwksCaFile === null ? null : readCertificates(config.jwksCaFile);
  return new Jwks({
    fetch: documentFetcher({ url, ca, bytesMax, timeoutMs }),
    clock,
    log: logger,
    lifetimeMs: config.jwksLifetimeMs,
    cooldownMs: config.jwksCooldownMs,
  });
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new StartError(`${howToSet('jwksCaFile')}: ${file} cannot be read (${code}).`, { cause: error });
  }
}
