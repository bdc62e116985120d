// The answer to a good `hello`.

import { PROTOCOL_VERSION, type ServerFrame } from '../protocol/frames.ts';
import { SESSION_LIMITS } from '../protocol/limits.ts';
import type { Credential } from './authentication.ts';
import type { SessionContext } from './session-context.ts';

export function welcomeFrame(
  { node, heartbeatMs }: SessionContext,
  session: string,
  { principal, expiresAtMs }: Credential,
): ServerFrame {
  const { owner } = principal;
  const [op, version, limits] = ['welcome', PROTOCOL_VERSION, SESSION_LIMITS] as const;
  return { op, version, session, node, owner, heartbeatMs, expiresAtMs, limits };
}
