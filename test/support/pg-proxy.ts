// A TCP proxy between a node and Postgres that understands just enough of the protocol to break one transaction at the
// moment that matters: the one whose messages hold a given text.
//
// Postgres' messages are a type byte and a length (Frontend/Backend Protocol, "Message Formats"); the first of a connection
// has no type. The store sends BEGIN, its statements and COMMIT in one go, each end as a simple query.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { assert } from '../../protocol/assert.ts';
import { listenAnywhere } from './port.ts';

/**
 * `answer lost`: Postgres gets everything, the node loses the connection before the answer to COMMIT.
 * `commit late`: the same for the node, but Postgres gets the COMMIT only when `release` is called.
 * `all late`: Postgres gets the whole transaction only then.
 */
export type Fault = 'answer lost' | 'commit late' | 'all late';

export type Hit = {
  /** Lets Postgres have what was held back; resolves with what it answered by then: tags such as `COMMIT`, or errors. */
  release(): Promise<readonly string[]>;
};

type Armed = { readonly fault: Fault; readonly text: string; readonly struck: (hit: Hit | null) => void };

const QUERY = 'Q'.charCodeAt(0);
const PARSE = 'P'.charCodeAt(0);
/** A message of our kind between BEGIN and COMMIT is small; a larger one would be a mistake of this parser. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export class PgProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #armed: Armed | null = null;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((client) => {
      const link = new Link(client, connect(target.port, target.host), () => this.#armed);
      this.#links.add(link);
      link.onStruck = () => {
        this.#armed = null;
      };
      link.onClosed = () => this.#links.delete(link);
    });
  }

  /** `url` is that of the database; `proxyUrl` of what was made leads through the proxy. */
  static async start(url: string): Promise<{ readonly proxy: PgProxy; readonly proxyUrl: string }> {
    const database = new URL(url);
    const proxy = new PgProxy({ host: database.hostname, port: Number(database.port || 5432) });
    database.port = String(await listenAnywhere(proxy.#server));
    database.hostname = '127.0.0.1';
    return { proxy, proxyUrl: database.href };
  }

  /**
   * The next transaction that holds `text` (as UTF-8) suffers `fault`; resolves when it has. Null when all of it should
   * be late and it was the first with some statement on its connection: it came in several goes, and was let through.
   */
  arm(fault: Fault, text: string): Promise<Hit | null> {
    return new Promise((struck) => {
      this.#armed = { fault, text, struck };
    });
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const link of this.#links) link.destroy();
    await closed;
  }
}

class Link {
  onStruck = (): void => {};
  onClosed = (): void => {};
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #armed: () => Armed | null;
  #buffer: Buffer = Buffer.alloc(0);
  #started = false;
  /** Messages of the transaction that is being looked at; null outside of one. */
  #held: Buffer[] | null = null;
  /** How many of them Postgres has: all, once the transaction turned out to come in several goes. */
  #sent = 0;
  #cut = false;
  /** What Postgres says once the node has gone. */
  #answer: Buffer[] = [];

  constructor(client: Socket, server: Socket, armed: () => Armed | null) {
    this.#client = client;
    this.#server = server;
    this.#armed = armed;
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on('data', (data: Buffer) => this.#fromNode(data));
    server.on('data', (data: Buffer) => {
      if (this.#cut) this.#answer.push(data);
      else client.write(data);
    });
    client.on('error', () => {});
    server.on('error', () => {});
    client.on('close', () => {
      if (!this.#cut) server.destroy();
    });
    server.on('close', () => {
      client.destroy();
      this.onClosed();
    });
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #fromNode(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      const message = this.#takeMessage();
      if (message === null) return;
      this.#message(message);
    }
  }

  #takeMessage(): Buffer | null {
    const head = this.#started ? 1 : 0;
    if (this.#buffer.length < head + 4) return null;
    const length = head + this.#buffer.readUInt32BE(head);
    assert(length <= MESSAGE_BYTES_MAX, 'the proxy reads messages at their beginnings');
    if (this.#buffer.length < length) return null;
    const message = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    this.#started = true;
    return message;
  }

  #message(message: Buffer): void {
    const query = message[0] === QUERY ? message.toString('utf8', 5, message.length - 1) : '';
    const begins = this.#held === null && this.#armed() !== null && query.startsWith('begin');
    if (begins) this.#held = [];
    if (this.#held === null) {
      this.#server.write(message);
      return;
    }
    this.#held.push(message);
    if (query === 'commit') this.#commit(this.#held);
    // A statement that this connection does not know yet needs an answer before the rest comes.
    else if (message[0] === PARSE || this.#sent > 0) this.#passOn(this.#held.slice(this.#sent));
  }

  #passOn(messages: readonly Buffer[]): void {
    for (const message of messages) this.#server.write(message);
    this.#sent += messages.length;
  }

  #commit(held: readonly Buffer[]): void {
    const armed = this.#armed();
    const isIt = armed !== null && Buffer.concat([...held]).includes(armed.text);
    this.#held = null;
    if (isIt) this.onStruck();
    const tooLate = armed?.fault === 'all late' && this.#sent > 0;
    if (!isIt || tooLate) {
      this.#passOn(held.slice(this.#sent));
      this.#sent = 0;
      if (isIt) armed.struck(null);
      return;
    }
    this.#cut = true;
    const late = armed.fault === 'answer lost' ? [] : armed.fault === 'commit late' ? held.slice(-1) : held;
    this.#passOn(held.slice(this.#sent, held.length - late.length));
    const hit: Hit = { release: () => this.#release(late) };
    if (armed.fault !== 'answer lost') {
      this.#client.destroy();
      armed.struck(hit);
      return;
    }
    // The node shall not learn it, but Postgres shall have done it.
    void this.#answered('COMMIT').then(() => {
      this.#client.destroy();
      armed.struck(hit);
    });
  }

  async #release(late: readonly Buffer[]): Promise<readonly string[]> {
    if (!this.#server.destroyed) {
      // Postgres may reset the connection that it has given up: an end like any other (`once` would reject).
      const ended = new Promise((resolve) => {
        this.#server.once('close', resolve);
      });
      for (const message of late) this.#server.write(message);
      // A Terminate behind it: Postgres ends the session once everything before it was done.
      this.#server.end(Buffer.from([0x58, 0, 0, 0, 4]));
      await ended;
    }
    return answersIn(Buffer.concat(this.#answer));
  }

  /** Resolves when Postgres has said `tag`, or has closed the connection. */
  #answered(tag: string): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (answersIn(Buffer.concat(this.#answer)).includes(tag)) resolve();
      };
      this.#server.on('data', look);
      this.#server.once('close', () => resolve());
      look();
    });
  }
}

/** Command tags and error codes (`ERROR 25P03`), in order; a message that is not whole yet is left out. */
function answersIn(bytes: Buffer): readonly string[] {
  const found: string[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    const body = bytes.subarray(at + 5, end);
    const type = String.fromCharCode(bytes[at] ?? 0);
    if (type === 'C') found.push(body.toString('utf8', 0, body.length - 1));
    if (type === 'E') found.push(`ERROR ${/\0C([0-9A-Z]{5})\0/.exec(body.toString('latin1'))?.[1] ?? ''}`);
    at = end;
  }
  return found;
}
