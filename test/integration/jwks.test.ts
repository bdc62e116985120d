// Credentials by the keys of an issuer, over https, on a node as people start it; and what is limited behind the hello.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { documentFetcher } from '../../gateway/fetch-document.ts';
import { readFileSync } from 'node:fs';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { encodeArgs } from '../../protocol/codec.ts';
import { type ChatId, type CommandId, uuidFromBytes, uuidV7 } from '../../protocol/ids.ts';
import { must } from '../../protocol/assert.ts';
import { systemRandom } from '../../gateway/system-ports.ts';
import { SocketClient } from '../gateway/support/socket-client.ts';
import { runOpenssl } from '../support/certificate.ts';
import { Issuer, type SigningKey } from '../support/issuer.ts';
import { NodeProcess, runNode } from '../support/node-process.ts';

const COOLDOWN_MS = 500;
let issuer: Issuer;
let node: NodeProcess;
let keys: readonly SigningKey[];
/** Of what has started. */
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  issuer = await Issuer.start();
  stops.push(() => issuer.stop());
  keys = (['EdDSA', 'ES256', 'RS256'] as const).map((alg) => issuer.publish(`first ${alg}`, alg));
  node = await NodeProcess.start({
    env: {
      PARLEY_JWKS_URL: issuer.url,
      PARLEY_JWKS_CA_FILE: issuer.caFile,
      PARLEY_JWKS_COOLDOWN_MS: String(COOLDOWN_MS),
      PARLEY_JWT_AUDIENCE: 'parley',
      PARLEY_OWNER_ACTIVATIONS_PER_SECOND: '1',
      PARLEY_OWNER_ACTIVATIONS_BURST: '2',
    },
  });
  stops.push(() => node.stop());
});

afterAll(async () => {
  for (const stop of stops.toReversed()) await stop();
});

async function refusal(credential: string): Promise<number> {
  const socket = await SocketClient.open(node.url);
  socket.send({ op: 'hello', version: 1, credential, client: 'test' });
  return (await socket.closed).code;
}

test('[access] without openssl, which makes the certificate, these tests fail with the one line that helps', () => {
  expect(() => runOpenssl(['version'], { PATH: '/nowhere' })).toThrow(
    /^These tests need openssl\. .* apt-get install openssl$/,
  );
});

describe('[access] keys of an issuer', () => {
  test('[access] EdDSA, ES256 and RS256 are taken; without a secret there is no development token', async () => {
    expect(node.stdout).not.toContain('Development token');
    for (const key of keys) {
      const socket = await SocketClient.live(node.url, await issuer.sign(key, key.alg));
      expect(await socket.frame('welcome')).toMatchObject({ owner: key.alg });
      await socket.close();
    }
    expect(issuer.requests).toBe(1);
  });

  test('[access] a rotation is taken up without a restart, and a flood of unknown keys is one request per cool-down', async () => {
    const second = issuer.publish('second');
    // The first connections may come within the cool-down of the request at the start: they are told to come back.
    for (let code = 0; code !== 1;) {
      const socket = await SocketClient.open(node.url);
      socket.send({ op: 'hello', version: 1, credential: await issuer.sign(second, 'ann'), client: 'test' });
      const welcome = socket.frame('welcome').then(() => 1);
      code = await Promise.race([welcome, socket.closed.then((closed) => closed.code)]);
      expect([1, CLOSE_CODES.going_away]).toContain(code);
      await socket.close();
    }
    const before = issuer.requests;
    const startedAtMs = performance.now();
    const stranger = await issuer.sign({ ...second, kid: 'of nobody' }, 'ann');
    for (let i = 0; i < 50; i++) {
      expect([CLOSE_CODES.unauthorized, CLOSE_CODES.going_away]).toContain(await refusal(stranger));
    }
    const windows = Math.ceil((performance.now() - startedAtMs) / COOLDOWN_MS);
    expect(issuer.requests - before).toBeLessThanOrEqual(windows + 1);
  });

  test('[access] a wrong signature of a known key is refused for good', async () => {
    const [known, other] = [must(keys[0], 'there are three'), issuer.publish('other')];
    expect(await refusal(await issuer.sign({ ...other, kid: known.kid }, 'ann'))).toBe(CLOSE_CODES.unauthorized);
  });

  test('[access] a key set by http is a fault of the configuration, a file that is not there one of the start', async () => {
    const [plain, noFile] = await Promise.all([
      runNode([], { PARLEY_JWKS_URL: 'http://localhost/keys' }),
      runNode(['--port', '0', '--data-dir', `${node.dataDir}/other`], {
        PARLEY_JWKS_URL: issuer.url,
        PARLEY_JWKS_CA_FILE: '/nowhere/ca.pem',
      }),
    ]);
    expect([plain.code, noFile.code]).toEqual([2, 1]);
    expect(plain.stderr).toContain('must be a URL that begins with https://');
    expect(noFile.stderr).toContain('--jwks-ca-file (PARLEY_JWKS_CA_FILE): /nowhere/ca.pem cannot be read (ENOENT).');
  });
});

describe('[access] fetching', () => {
  const never = new AbortController().signal;
  const fetcher = (
    parts: { readonly ca?: string | null; readonly bytesMax?: number; readonly timeoutMs?: number } = {},
  ) =>
    documentFetcher({
      url: issuer.url,
      ca: readFileSync(issuer.caFile, 'utf8'),
      bytesMax: 10_000,
      timeoutMs: 5_000,
      ...parts,
    });

  test('[access] only a whole document of a bounded size, from a server that proves who it is, without a detour', async () => {
    expect(JSON.parse(await fetcher()(never))).toHaveProperty('keys');
    await expect(fetcher({ ca: null })(never)).rejects.toThrow(/self-signed/);
    await expect(fetcher({ bytesMax: 100 })(never)).rejects.toThrow('it is larger than 100 bytes');
    issuer.answer = { status: 302, headers: { location: issuer.url }, body: '' };
    await expect(fetcher()(never)).rejects.toThrow('it answered with 302 instead of 200');
    issuer.answer = { status: 200, headers: { 'content-length': '50' }, body: '{}' };
    await expect(fetcher({ timeoutMs: 200 })(never)).rejects.toThrow(/did not answer in time|cut off/);
    issuer.answer = null;
    const stopped = new AbortController();
    const fetching = fetcher()(stopped.signal);
    stopped.abort();
    await expect(fetching).rejects.toThrow(/abort/i);
  });
});

describe('[P11] cold chats', () => {
  test('[P11] chats that have to be loaded are limited per owner, with the time to wait; those in memory are not', async () => {
    const key = must(keys[0], 'there are three');
    const socket = await SocketClient.live(node.url, await issuer.sign(key, 'cold'));
    const chats: ChatId[] = [];
    for (let request = 1; request <= 4; request++) {
      const id = uuidV7<CommandId>(Date.now(), systemRandom.bytes(10));
      socket.send({ op: 'command', request, id, name: 'chats.create', rawArgs: encodeArgs({}) });
      const { result } = await socket.frame('reply', request);
      chats.push(must(uuidFromBytes<ChatId>((result as { chat: { id: Uint8Array } }).chat.id), 'a chat has an id'));
    }
    socket.send(...chats.map((chat) => ({ op: 'attach', chat, cursor: null }) as const));
    const refused = await socket.frame('refused');
    expect(refused.error).toMatchObject({ code: 'rate_limited', retry: 'later' });
    expect(refused.error.retry_after_ms).toBeGreaterThan(0);
    await socket.frame('attached', 2);
    const warm = must(socket.all('attached')[0], 'two were attached').chat;
    socket.send({ op: 'attach', chat: warm, cursor: null });
    await socket.frame('attached', 3);
    await socket.close();
  });
});
