import { describe, expect, test } from 'vitest';
import type { Read } from '../actors/ports.ts';
import type { AccessAnswer, AccessQuestion } from '../storage/access.ts';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { createAuthenticator, type JwtOptions, signToken } from './authentication.ts';
import { createCredentials } from './credentials.ts';

const KEY: JwtOptions = { secret: new TextEncoder().encode('k'.repeat(32)), issuer: null, audience: null };

/** A database that has nothing against anybody, and may fail as it never should. */
class FakeAccess {
  readonly rounds: (readonly AccessQuestion[])[] = [];
  fault: Error | null = null;

  async ask(questions: readonly AccessQuestion[]): Promise<Read<readonly AccessAnswer[]>> {
    this.rounds.push(questions);
    await Promise.resolve();
    if (this.fault !== null) throw this.fault;
    return { outcome: 'read', value: questions.map(() => ({ token: null, ownerRevoked: false, asOf: 0 })) };
  }

  noteUse(): Promise<void> {
    return Promise.resolve();
  }
}

describe('questions to the database', () => {
  test('[access] one that fails by a bug fails those that asked it, and those that come later are asked anew', async () => {
    const clock = new SimClock(Date.UTC(2026, 0, 1));
    const access = new FakeAccess();
    const authenticate = createCredentials({ access, jwt: createAuthenticator(KEY, clock), clock, local: null });
    const token = await signToken(KEY, { subject: 'ann', expiresAtMs: clock.nowMs() + 60_000 });
    access.fault = new Error('a bug');
    const failed = await Promise.allSettled([authenticate(token), authenticate(token)]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    access.fault = null;
    const before = access.rounds.length;
    expect(await authenticate(token)).toMatchObject({ outcome: 'accepted' });
    expect(access.rounds.length).toBe(before + 1);
  });
});
