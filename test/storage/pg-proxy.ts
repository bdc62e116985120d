// A TCP proxy in front of Postgres that misbehaves on demand, at the COMMIT of a transaction or before all of it.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import { assert } from '../../protocol/assert.ts';

/** The simple query `commit`, as it goes over the wire. */
const COMMIT = Buffer.from('Q\0\0\0\x0bcommit\0', 'latin1');
const READY_FOR_QUERY = Buffer.from('Z\0\0\0\x05', 'latin1');

export type Fault =
  /** Postgres gets the COMMIT and answers, the client is cut off before it hears of it. */
  | 'commitUnheard'
  /** The connection breaks with the COMMIT on its way: it never arrives. */
  | 'commitLost'
  /** The client is cut off, the COMMIT arrives when `releaseHeld` is called. */
  | 'commitHeld'
  /** The client is cut off, everything from here on arrives when `releaseHeld` is called. */
  | 'allHeld'
  /** Answers are kept back until the COMMIT was seen. */
  | 'answersHeld';

type Link = { readonly client: Socket; readonly server: Socket };

export class PgProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #listener: Server;
  readonly #links = new Set<Link>();
  #fault: Fault | null = null;
  #held: { readonly link: Link; readonly bytes: Buffer } | null = null;
  #answers: Buffer[] = [];
  /** Resolves `happened`. */
  #report: (() => void) | null = null;

  private constructor(target: { readonly host: string; readonly port: number }, listener: Server) {
    this.#target = target;
    this.#listener = listener;
  }

  /** `url` of the database that it stands before. */
  static async start(url: string): Promise<PgProxy> {
    const { hostname, port } = new URL(url);
    const listener = createServer();
    const proxy = new PgProxy({ host: hostname, port: Number(port) }, listener);
    listener.on('connection', (client) => proxy.#link(client));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return proxy;
  }

  /** The same database by way of the proxy. */
  urlFor(url: string): string {
    const address = this.#listener.address();
    assert(typeof address === 'object' && address !== null, 'a TCP server has an address');
    const proxied = new URL(url);
    proxied.hostname = '127.0.0.1';
    proxied.port = String(address.port);
    return proxied.href;
  }

  get connections(): number {
    return this.#links.size;
  }

  /** Arms a fault for the next transaction; resolves when it has happened. */
  arm(fault: Fault): Promise<void> {
    this.#fault = fault;
    return new Promise((resolve) => {
      this.#report = resolve;
    });
  }

  /** Sends what was held; resolves when Postgres has answered all of it or has ended that session. */
  async releaseHeld(): Promise<void> {
    const held = this.#held;
    assert(held !== null, 'something is held');
    this.#held = null;
    const expected =
      count(held.bytes, Buffer.from('S\0\0\0\x04', 'latin1')) + count(held.bytes, Buffer.from('Q\0\0\0'));
    let seen = 0;
    const done = new Promise<void>((resolve) => {
      held.link.server.on('data', (data: Buffer) => {
        seen += count(data, READY_FOR_QUERY);
        if (seen >= expected) resolve();
      });
      held.link.server.on('close', () => resolve());
    });
    if (held.link.server.destroyed) return;
    held.link.server.write(held.bytes);
    await done;
    held.link.server.destroy();
  }

  /** Cuts every connection, both sides. */
  cutAll(): void {
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cutAll();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #link(client: Socket): void {
    const server = connect(this.#target.port, this.#target.host);
    const link = { client, server };
    this.#links.add(link);
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on('data', (data: Buffer) => this.#fromClient(link, data));
    server.on('data', (data: Buffer) => this.#fromServer(link, data));
    client.on('error', () => undefined);
    server.on('error', () => undefined);
    client.on('close', () => {
      // What holds something back outlives its client.
      if (this.#held?.link !== link) server.destroy();
      this.#links.delete(link);
    });
    server.on('close', () => client.destroy());
  }

  #fromClient(link: Link, data: Buffer): void {
    const commitAt = data.indexOf(COMMIT);
    switch (this.#fault) {
      case 'allHeld':
        this.#hold(link, data);
        return;
      case 'commitHeld':
        if (commitAt < 0) break;
        link.server.write(data.subarray(0, commitAt));
        this.#hold(link, data.subarray(commitAt));
        return;
      case 'commitLost':
        if (commitAt < 0) break;
        this.#happened();
        link.server.write(data.subarray(0, commitAt), () => link.server.destroy());
        link.client.destroy();
        return;
      case 'answersHeld':
        if (commitAt < 0) break;
        this.#happened();
        link.server.write(data);
        for (const answer of this.#answers) link.client.write(answer);
        this.#answers = [];
        return;
      case 'commitUnheard':
      case null:
        break;
    }
    link.server.write(data);
  }

  #fromServer(link: Link, data: Buffer): void {
    if (this.#fault === 'answersHeld') {
      this.#answers.push(data);
      return;
    }
    // The tag of a COMMIT in an answer: "COMMIT" and a NUL.
    if (this.#fault === 'commitUnheard' && data.includes('COMMIT\0')) {
      this.#happened();
      link.client.destroy();
      link.server.destroy();
      return;
    }
    if (!link.client.destroyed) link.client.write(data);
  }

  /** The client may not have sent everything: what follows in this turn of the loop is held too. */
  #hold(link: Link, data: Buffer): void {
    this.#held = { link, bytes: Buffer.concat([this.#held?.bytes ?? Buffer.alloc(0), data]) };
    if (!this.#held.bytes.includes(COMMIT)) return;
    this.#happened();
    link.client.destroy();
  }

  #happened(): void {
    this.#fault = null;
    this.#report?.();
    this.#report = null;
  }
}

function count(data: Buffer, pattern: Buffer): number {
  let found = 0;
  for (let i = data.indexOf(pattern); i >= 0; i = data.indexOf(pattern, i + 1)) found += 1;
  return found;
}
