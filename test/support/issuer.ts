// An issuer of credentials with a key set behind https, by a certificate that only the tests trust.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { listenAnywhere } from './port.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export type SigningKey = { readonly kid: string; readonly alg: 'EdDSA' | 'ES256' | 'RS256'; readonly key: KeyObject };

/** What the key set's address answers; null: the key set. */
export type Answer = {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
} | null;

/** Throws one line that says how to get it when it is missing. */
export function runOpenssl(args: readonly string[], environment: Environment = process.env): void {
  const { error, status, stderr } = spawnSync('openssl', args, { env: environment, encoding: 'utf8' });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    throw new Error('These tests need openssl. On Debian 12 and newer: apt-get install openssl');
  }
  if (error !== undefined || status !== 0) throw new Error(`openssl failed: ${error?.message ?? stderr}`);
}

export class Issuer {
  /** Of the certificate. */
  readonly caFile: string;
  readonly url: string;
  requests = 0;
  answer: Answer = null;
  /** Public keys, in the form of RFC 7517. */
  published: unknown[] = [];
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server, port: number) {
    this.#folder = folder;
    this.#server = server;
    this.caFile = join(folder, 'certificate.pem');
    this.url = `https://localhost:${port}/keys`;
  }

  static async start(): Promise<Issuer> {
    const folder = mkdtempSync(join(tmpdir(), 'parley-issuer-'));
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    runOpenssl(['req', '-x509', ...curve, '-nodes', '-days', '2', ...names, '-keyout', key, '-out', certificate]);
    const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) });
    const issuer = new Issuer(folder, server, await listenAnywhere(server));
    server.on('request', (_request, response) => {
      issuer.requests += 1;
      const { status, headers, body } = issuer.answer ?? {
        status: 200,
        body: JSON.stringify({ keys: issuer.published }),
      };
      response.writeHead(status, headers).end(body);
    });
    return issuer;
  }

  /** Makes a key and puts it into the set. */
  publish(kid: string, alg: SigningKey['alg'] = 'EdDSA'): SigningKey {
    const pair =
      alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.published.push({ ...pair.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });
    return { kid, alg, key: pair.privateKey };
  }

  sign({ kid, alg, key }: SigningKey, subject: string): Promise<string> {
    const token = new SignJWT({}).setProtectedHeader({ alg, kid }).setSubject(subject).setAudience('parley');
    return token.setExpirationTime('1h').sign(key);
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    rmSync(this.#folder, { recursive: true });
  }
}
