// An issuer of credentials with a key set behind https, by a certificate that only the tests trust.

import { once } from 'node:events';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { SignJWT } from 'jose';
import { makeCertificate, type Certificate } from './certificate.ts';
import { listenAnywhere } from './port.ts';

export type SigningKey = { readonly kid: string; readonly alg: 'EdDSA' | 'ES256' | 'RS256'; readonly key: KeyObject };

/** What the key set's address answers; null: the key set. */
export type Answer = {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
} | null;

export class Issuer {
  readonly url: string;
  requests = 0;
  answer: Answer = null;
  /** Public keys, in the form of RFC 7517. */
  published: unknown[] = [];
  readonly #certificate: Certificate;
  readonly #server: Server;

  private constructor(certificate: Certificate, server: Server, port: number) {
    this.#certificate = certificate;
    this.#server = server;
    this.url = `https://localhost:${port}/keys`;
  }

  static async start(): Promise<Issuer> {
    const certificate = makeCertificate();
    const { keyFile, certificateFile } = certificate;
    const server = createServer({ key: readFileSync(keyFile), cert: readFileSync(certificateFile) });
    const issuer = new Issuer(certificate, server, await listenAnywhere(server));
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

  get caFile(): string {
    return this.#certificate.certificateFile;
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
    this.#certificate.remove();
  }
}
