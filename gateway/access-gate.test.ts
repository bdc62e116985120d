import { beforeEach, describe, expect, test } from 'vitest';
import type { Read } from '../actors/ports.ts';
import { decodeBody, encodeArgs } from '../protocol/codec.ts';
import type { CommandId, OwnerId, TokenId } from '../protocol/ids.ts';
import type { Revocation } from '../storage/access.ts';
import { CHAT } from '../test/gateway/support/harness.ts';
import { FakeFeedStore } from '../test/gateway/support/fake-feed-store.ts';
import { FakeHost } from '../test/gateway/support/fake-host.ts';
import { SimClock } from '../test/gateway/support/sim-clock.ts';
import { AccessCommands } from './access-commands.ts';
import { AccessGate } from './access-gate.ts';
import type { Bearer } from './authentication.ts';
import { AuthorisedHost } from './authorised-host.ts';
import { FeedWatch } from './feed-watch.ts';
import { Feeds } from './feeds.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { SessionRegistry } from './session-registry.ts';
import { Owners } from './shares.ts';
import { testConfig } from '../test/gateway/support/harness.ts';

const LOG = { error: () => undefined, warn: () => undefined, info: () => undefined, child: () => LOG };
const SEND = { id: CHAT as string as CommandId, name: 'chat.send', args: {}, rawArgs: encodeArgs({}) };

/** The database, as far as a gate sees it: whoever else revokes something writes here. */
class FakeAccess {
  readonly revocations: Revocation[] = [];
  asked = 0;
  reachable = true;
  /** What an answer waits for. */
  held: Promise<void> = Promise.resolve();

  clock(): Promise<Read<number>> {
    return Promise.resolve({ outcome: 'read', value: this.revocations.length });
  }

  async revocationsSince(
    seq: number,
  ): Promise<Read<{ readonly asOf: number; readonly more: boolean; readonly revocations: readonly Revocation[] }>> {
    this.asked += 1;
    // A statement sees what was committed when it began.
    const value = { asOf: this.revocations.length, more: false, revocations: this.revocations.slice(seq) };
    await this.held;
    return this.reachable ? { outcome: 'read', value } : { outcome: 'unavailable', detail: 'gone' };
  }

  revokeOwner(owner: string): void {
    this.revocations.push({ kind: 'owner', owner: owner as OwnerId, seq: this.revocations.length + 1 });
  }
}

class FakeSession {
  readonly bearer: Bearer;
  readonly measure = {
    state: 'live',
    paused: false,
    outboxBytes: 0,
    bufferedBytes: 0,
    attachments: 0,
    snapshots: 0,
  } as const;
  closed: string | null = null;

  constructor(owner: string, parts: { readonly token?: TokenId; readonly asOf?: number } = {}) {
    this.bearer = { owner: owner as OwnerId, role: 'member', groups: [], asOf: 0, ...parts };
  }

  announceDrain(): void {}

  close(reason: string): void {
    this.closed = reason;
  }
}

let access: FakeAccess;
let clock: SimClock;
let registry: SessionRegistry;
let host: FakeHost;

beforeEach(() => {
  access = new FakeAccess();
  clock = new SimClock(Date.UTC(2026, 0, 1));
  registry = new SessionRegistry(new Owners(testConfig()));
  host = new FakeHost();
});

async function openGate(shared: boolean): Promise<{ readonly gate: AccessGate; readonly authorised: AuthorisedHost }> {
  const gate = await AccessGate.open({ access, shared, clock, log: LOG, apply: (one) => registry.revoke(one) });
  const nothing = (): never => {
    throw new Error('not asked here');
  };
  const deps = { access: nothing as never, store: nothing as never, clock, revoked: () => gate.refresh() };
  return { gate, authorised: new AuthorisedHost(host, gate, new AccessCommands(deps)) };
}

function session(owner: string, parts?: { readonly token?: TokenId; readonly asOf?: number }): FakeSession {
  const made = new FakeSession(owner, parts);
  registry.add(made);
  return made;
}

function watchBehind(gate: AccessGate): { readonly feeds: Feeds; readonly watch: FeedWatch } {
  const onFault = (error: unknown): void => expect.fail(String(error));
  const objection = (bearer: Bearer): ReturnType<AccessGate['objection']> => gate.objection(bearer);
  const feeds = new Feeds({ store: new FakeFeedStore(), clock, objection, onFault });
  return { feeds, watch: new FeedWatch(feeds, () => undefined) };
}

/** What was promised has been done, timers aside. */
async function settled(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

describe('revocations', () => {
  test('[access] a revocation by somebody else closes the sessions that it concerns within the poll, and no other', async () => {
    const { gate } = await openGate(true);
    const [ann, bob] = [session('ann'), session('bob')];
    access.revokeOwner('ann');
    expect(GATEWAY_LIMITS.revocationPollMs).toBeLessThanOrEqual(500);
    clock.advance(GATEWAY_LIMITS.revocationPollMs);
    await settled();
    expect([ann.closed, bob.closed]).toEqual(['revoked', null]);
    await gate.stop();
    expect(clock.timers).toBe(0);
  });

  test('[access] no command, query or attach that comes after a revocation was acknowledged is done: no poll is needed', async () => {
    const { gate, authorised } = await openGate(true);
    const { bearer } = session('ann');
    expect((await authorised.command(bearer, SEND)).ok).toBe(true);
    access.revokeOwner('ann');
    const reply = await authorised.command(bearer, SEND);
    expect(reply.ok).toBe(false);
    expect(decodeBody(reply.body)).toMatchObject({ code: 'unauthorized' });
    expect(await authorised.query(bearer, 'chats.list', {})).toMatchObject({ error: { code: 'unauthorized' } });
    const follower = { onAppend: () => undefined, onEnd: () => undefined };
    expect(await authorised.attach(bearer, CHAT, null, follower)).toMatchObject({ outcome: 'refused' });
    expect(host.commands).toHaveLength(1);
    expect(host.attaches).toHaveLength(0);
    await gate.stop();
  });

  test('[access] nor is a watch: the feed is not followed, nor while the database cannot be asked', async () => {
    const { gate } = await openGate(true);
    const { bearer } = session('ann');
    const { feeds, watch } = watchBehind(gate);
    access.revokeOwner('ann');
    expect(await watch.watch(bearer, 0)).toMatchObject({ code: 'unauthorized' });
    expect(feeds.stats).toEqual({ owners: 0, followers: 0 });
    access.reachable = false;
    expect(await watch.watch(session('bob').bearer, 0)).toMatchObject({ code: 'unavailable', retry: 'later' });
    expect([watch.pending, feeds.stats.followers]).toEqual([false, 0]);
    await gate.stop();
  });

  test('[access] a watch that is let go while the gate looks does not come to life', async () => {
    const { gate } = await openGate(true);
    const { feeds, watch } = watchBehind(gate);
    const asked = watch.watch(session('ann').bearer, 0);
    watch.stop();
    expect(await asked).toBeNull();
    expect(feeds.stats).toEqual({ owners: 0, followers: 0 });
    await gate.stop();
  });

  test('[access] a look that began before the revocation does not count for a command that came after it', async () => {
    const { gate, authorised } = await openGate(true);
    const { bearer } = session('ann');
    let release = (): void => {};
    access.held = new Promise((resolve) => {
      release = resolve;
    });
    const early = authorised.command(bearer, SEND);
    access.revokeOwner('ann');
    const late = authorised.command(bearer, SEND);
    release();
    expect([(await early).ok, (await late).ok]).toEqual([true, false]);
    expect(host.commands).toHaveLength(1);
    await gate.stop();
  });

  test('[access] however many ask at once, two questions to the database serve them', async () => {
    const { gate, authorised } = await openGate(true);
    const { bearer } = session('ann');
    await Promise.all(Array.from({ length: 500 }, () => authorised.command(bearer, SEND)));
    expect(host.commands).toHaveLength(500);
    expect(access.asked).toBe(2);
    await gate.stop();
  });

  test('[access] while the database cannot be asked nothing is done, open sessions stay, and it goes on by itself', async () => {
    const { gate, authorised } = await openGate(true);
    const ann = session('ann');
    access.reachable = false;
    const reply = await authorised.command(ann.bearer, SEND);
    expect(decodeBody(reply.body)).toMatchObject({ code: 'unavailable', retry: 'later', retry_after_ms: 1_000 });
    expect([host.commands.length, ann.closed]).toEqual([0, null]);
    access.revokeOwner('ann');
    access.reachable = true;
    clock.advance(GATEWAY_LIMITS.revocationPollMs);
    await settled();
    expect(ann.closed).toBe('revoked');
    await gate.stop();
  });

  test('[access] on the embedded database nobody is asked: nobody else can have revoked anything', async () => {
    const { gate, authorised } = await openGate(false);
    const ann = session('ann');
    await authorised.command(ann.bearer, SEND);
    expect([access.asked, clock.timers]).toEqual([0, 0]);
    access.revokeOwner('ann');
    await gate.refresh();
    expect(ann.closed).toBe('revoked');
    await gate.stop();
  });
});

describe('sessions', () => {
  test('[access] who came in after the revocation, restored, stays; who was looked at before it is looked at again', () => {
    const [before, after] = [session('ann', { asOf: 6 }), session('ann', { asOf: 7 })];
    registry.revoke({ kind: 'owner', owner: 'ann' as OwnerId, seq: 7 });
    expect([before.closed, after.closed]).toEqual(['revoked', null]);
    expect(registry.outdated(new FakeSession('cleo', { asOf: 6 }).bearer)).toBe(true);
    expect(registry.outdated(after.bearer)).toBe(false);
  });

  test('[access] a token ends its own sessions only', () => {
    const [one, two] = ['one', 'two'] as string[] as TokenId[];
    const sessions = [
      session('bot', { token: one as TokenId }),
      session('bot', { token: two as TokenId }),
      session('bot'),
    ];
    registry.revoke({ kind: 'token', token: one as TokenId, seq: 1 });
    expect(sessions.map(({ closed }) => closed)).toEqual(['revoked', null, null]);
  });
});
