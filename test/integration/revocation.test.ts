// Revocation on several nodes: two processes with real gateways on one Postgres, and the administrator's command line, which
// knows neither of them.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { signToken } from '../../gateway/authentication.ts';
import { systemRandom } from '../../gateway/system-ports.ts';
import { must } from '../../protocol/assert.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { encodeArgs } from '../../protocol/codec.ts';
import { type CommandId, uuidV7 } from '../../protocol/ids.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { admin, adminJson } from '../support/admin.ts';
import { createDatabase } from '../support/postgres.ts';

const SECOND_MS = 1_000;
const SHARED_NODE = new URL('../support/shared-node.ts', import.meta.url).pathname;
const SECRET = 's'.repeat(48);

let database: { readonly url: string; readonly drop: () => Promise<void> };
let nodes: readonly { readonly process: ChildProcess; readonly url: string }[];

async function startNode(): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SHARED_NODE], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url, PARLEY_JWT_SECRET: SECRET },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: must(child.stdout, 'its output is a pipe') });
  const [url] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'close').then(() => {
      throw new Error('the node ended');
    }),
  ])) as [string];
  return { process: child, url };
}

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `revocation_${process.pid}`);
  // One after the other: the first brings the schema up to date.
  nodes = [await startNode(), await startNode()];
});

afterAll(async () => {
  for (const { process: child } of nodes) {
    const ended = once(child, 'close');
    child.stdin?.end();
    await ended;
  }
  await database.drop();
});

function urlOf(index: 0 | 1): string {
  return must(nodes[index], 'there are two').url;
}

function jwt(subject: string): Promise<string> {
  const options = { secret: new TextEncoder().encode(SECRET), issuer: null, audience: null };
  return signToken(options, { subject, expiresAtMs: Date.now() + 3_600_000 });
}

/**
 * When the command line began to revoke, by the clock of this machine: the end of its process, which is when a test hears
 * of it, may come long after the revocation.
 */
async function revokedAtMs(subject: string): Promise<number> {
  const raw = postgres(database.url, { max: 1 });
  const rows = await raw<{ revoked_at: Date }[]>`
    select revoked_at from api_tokens where id::text = ${subject}
    union all select revoked_at from owner_access where owner = ${subject}`;
  await raw.end();
  return must(rows[0], 'it is there').revoked_at.getTime();
}

/** Sends a command as soon as the one before is answered; remembers when each that took effect was sent. */
class Busy {
  readonly socket: SocketClient;
  readonly doneSentAtMs: number[] = [];
  readonly #sentAtMs: number[] = [];
  #seen = 0;

  private constructor(socket: SocketClient) {
    this.socket = socket;
    socket.socket.on('message', () => {
      for (const reply of socket.all('reply').slice(this.#seen)) {
        this.#seen += 1;
        if (reply.error === null) this.doneSentAtMs.push(must(this.#sentAtMs[reply.request], 'it was sent'));
        this.#send();
      }
    });
    this.#send();
  }

  static async start(url: string, credential: string): Promise<Busy> {
    const busy = new Busy(await SocketClient.live(url, credential));
    await busy.socket.frame('reply');
    return busy;
  }

  #send(): void {
    if (this.socket.socket.readyState !== this.socket.socket.OPEN) return;
    const request = this.#sentAtMs.push(performance.now()) - 1;
    const id = uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
    this.socket.send({ op: 'command', request, id, name: 'chats.create', rawArgs: encodeArgs({}) });
  }
}

describe('[access] several nodes', () => {
  test('[access] a token and an owner that are revoked beside the nodes end on both of them, at work or at rest, within 1 s', async () => {
    const environment = { DATABASE_URL: database.url };
    const made = await adminJson(['token', 'create', '--owner', 'bot'], environment);
    const token = String(made['token']);
    const credentials = [token, await jwt('leaving')] as const;
    const idle = await Promise.all(
      credentials.flatMap((one) => [SocketClient.live(urlOf(0), one), SocketClient.live(urlOf(1), one)]),
    );
    const busy = await Promise.all(credentials.map((one, i) => Busy.start(urlOf(i === 0 ? 1 : 0), one)));
    const staying = await SocketClient.live(urlOf(1), await jwt('staying'));

    const revocations = [
      ['token', 'revoke', String(made['id'])],
      ['owner', 'revoke', 'leaving'],
    ] as const;
    for (const [i, revocation] of revocations.entries()) {
      const worker = must(busy[i], 'there is one for each');
      const sockets = [...idle.slice(i * 2, i * 2 + 2), worker.socket];
      const closedAtMs = sockets.map(({ closed }) => closed.then(() => Date.now()));
      const { code, stderr } = await admin(revocation, environment);
      const acknowledgedAtMs = performance.now();
      expect([code, stderr]).toEqual([0, expect.stringMatching(/Done in the database of DATABASE_URL\.\n$/)]);
      for (const socket of sockets) {
        expect(await socket.closed).toEqual({ code: CLOSE_CODES.revoked, reason: 'revoked' });
      }
      const lastMs = Math.max(...(await Promise.all(closedAtMs)));
      expect(lastMs - (await revokedAtMs(revocation[2]))).toBeLessThan(SECOND_MS);
      expect(worker.doneSentAtMs.length).toBeGreaterThan(0);
      expect(worker.doneSentAtMs.filter((sentAtMs) => sentAtMs > acknowledgedAtMs)).toEqual([]);
    }
    for (const [i, credential] of [...credentials, ...credentials].entries()) {
      const socket = await SocketClient.open(urlOf(i < 2 ? 0 : 1));
      socket.send({ op: 'hello', version: 1, credential, client: 'test' });
      expect(await socket.closed).toMatchObject({ code: CLOSE_CODES.revoked });
    }
    await adminJson(['owner', 'restore', 'leaving'], environment);
    for (const node of [0, 1] as const) await (await SocketClient.live(urlOf(node), await jwt('leaving'))).close();
    staying.send({ op: 'ping' });
    await staying.frame('heartbeat');
    await staying.close();
  });

  test('[access] a revocation by command on one node reaches the other, and a hello right after it is refused there', async () => {
    const root = { secret: new TextEncoder().encode(SECRET), issuer: null, audience: null };
    const claims = { subject: 'root', expiresAtMs: Date.now() + 3_600_000, role: 'admin' } as const;
    const admins = await SocketClient.live(urlOf(0), await signToken(root, claims));
    const there = await SocketClient.live(urlOf(1), await jwt('guest'));
    const id = uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
    admins.send({ op: 'command', request: 1, id, name: 'owners.revoke', rawArgs: encodeArgs({ owner: 'guest' }) });
    expect(await admins.frame('reply')).toMatchObject({ error: null, result: { owner: 'guest' } });
    const acknowledgedAtMs = performance.now();
    const again = await SocketClient.open(urlOf(1));
    again.send({ op: 'hello', version: 1, credential: await jwt('guest'), client: 'test' });
    expect(await again.closed).toMatchObject({ code: CLOSE_CODES.revoked });
    expect(await there.closed).toMatchObject({ code: CLOSE_CODES.revoked });
    expect(performance.now() - acknowledgedAtMs).toBeLessThan(SECOND_MS);
    await admins.close();
  });
});
