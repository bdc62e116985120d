// Nodes whose Postgres and NATS take nobody without TLS and a password, by a certificate of an authority of one's own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeCertificate, type Certificate } from '../support/certificate.ts';
import { Clients } from '../support/clients.ts';
import { NatsServer } from '../support/nats.ts';
import { NodeProcess, runNode } from '../support/node-process.ts';
import { startOwn, type TestServer } from '../support/postgres.ts';

const CANNOT_START = 1;
const PASSWORD = 'correct-horse-battery-staple';
const WRONG_PASSWORD = 'incorrect-horse-battery-staple';

const clients = new Clients();
const nodes: NodeProcess[] = [];
let certificate: Certificate;
let postgres: TestServer;
let nats: NatsServer;
let folder: string;

beforeAll(async () => {
  certificate = makeCertificate();
  folder = mkdtempSync(join(tmpdir(), 'parley-tls-'));
  postgres = await startOwn({ certificate });
  const tls = ['--tls', '--tlscert', certificate.certificateFile, '--tlskey', certificate.keyFile];
  nats = await NatsServer.start({ args: [...tls, '--user', 'parley', '--pass', PASSWORD] });
});

afterEach(async () => {
  clients.closeAll();
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

afterAll(async () => {
  await nats.kill();
  await postgres.stop();
  certificate.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** The certificate is for `localhost`, and for no address. */
function databaseUrl(mode: 'disable' | 'require' | 'verify-full', host = 'localhost'): string {
  const url = new URL(postgres.url);
  url.hostname = host;
  url.searchParams.set('sslmode', mode);
  return url.href;
}

function natsUrl({ host = 'localhost', password = PASSWORD } = {}): string {
  return `tls://parley:${password}@${host}:${nats.port}`;
}

/** What Node itself takes for an authority of one's own. */
function trusting(): Readonly<Record<string, string>> {
  return { NODE_EXTRA_CA_CERTS: certificate.certificateFile };
}

async function started(env: Readonly<Record<string, string>>): Promise<NodeProcess> {
  const node = await NodeProcess.start({ env });
  nodes.push(node);
  return node;
}

/** The one line for a person of a start that is refused. */
async function refusal(env: Readonly<Record<string, string>>): Promise<string> {
  const exit = await runNode([], { PARLEY_DATA_DIR: folder, ...env });
  expect(exit.code).toBe(CANNOT_START);
  for (const password of [PASSWORD, WRONG_PASSWORD, new URL(postgres.url).password]) {
    expect(exit.stdout + exit.stderr).not.toContain(password);
  }
  const [line = '', ...more] = exit.stderr.split('\n').filter((one) => one.startsWith('parley: '));
  expect(more).toEqual([]);
  return line;
}

test.each([
  ['encrypted, whoever the server is', 'require', false],
  ['checked by its name and an authority of one’s own', 'verify-full', true],
] as const)('[open] Postgres over TLS, %s', async (_, mode, trusts) => {
  const node = await started({ DATABASE_URL: databaseUrl(mode), ...(trusts ? trusting() : {}) });
  const client = await clients.connect(node.url, node.token);
  expect(await client.createChat({ title: 'behind TLS' })).toMatchObject({ title: 'behind TLS' });
});

test.each([
  ['without TLS where it is demanded', () => ({ DATABASE_URL: databaseUrl('disable') }), /no encryption.*DATABASE_URL/],
  [
    'by nobody it trusts',
    () => ({ DATABASE_URL: databaseUrl('verify-full') }),
    /not trusted \(self-signed certificate\).*NODE_EXTRA_CA_CERTS.*DATABASE_URL/,
  ],
  [
    'by nobody it trusts, though the environment would switch the check off,',
    () => ({ DATABASE_URL: databaseUrl('verify-full'), NODE_TLS_REJECT_UNAUTHORIZED: '0' }),
    /not trusted \(self-signed certificate\).*NODE_EXTRA_CA_CERTS.*DATABASE_URL/,
  ],
  [
    'by another name than the certificate has',
    () => ({ DATABASE_URL: databaseUrl('verify-full', '127.0.0.1'), ...trusting() }),
    /not trusted \(.*127\.0\.0\.1.*\).*DATABASE_URL/,
  ],
])('[open] Postgres %s is refused in one line', async (_, env, line) => {
  expect(await refusal(env())).toMatch(line);
});

test('[cluster] nodes find each other over NATS with TLS and a password, and one without the right ones is refused', async () => {
  const common = { DATABASE_URL: databaseUrl('require'), PARLEY_JWT_SECRET: 'the secret of both nodes, long enough' };
  const trusted = { ...common, PARLEY_NATS_CA_FILE: certificate.certificateFile };
  for (const name of ['one', 'two']) {
    await started({ ...trusted, NATS_URL: natsUrl(), PARLEY_NODE_NAME: name, PARLEY_METRICS_PORT: '0' });
  }
  for (const node of nodes) await node.metric('parley_cluster_peers', (value) => value === 1, 'reachable');

  const wrong = { ...trusted, NATS_URL: natsUrl({ password: WRONG_PASSWORD }) };
  expect(await refusal(wrong)).toMatch(/NATS cannot be reached \(.*authori[sz]ation.*\).*NATS_URL/i);
  expect(await refusal({ ...common, NATS_URL: natsUrl() })).toMatch(/NATS cannot be reached \(.*self-signed.*\)/);
  const unnamed = { ...trusted, NATS_URL: natsUrl({ host: '127.0.0.1' }) };
  expect(await refusal(unnamed)).toMatch(/NATS cannot be reached \(.*127\.0\.0\.1.*\)/);
});
