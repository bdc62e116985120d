// A server on a real socket (the package `ws`) that serves one chat from a log which the test grows: attach, resume by
// cursor, commands that take effect once. It cuts connections when the test says so.

import { SESSION_LIMITS } from '../../protocol/limits.ts';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import { assert, must } from '../../protocol/assert.ts';
import { decodeClientMessage, encodeServerFrame, joinFrames } from '../../protocol/codec.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import type { Position } from '../../protocol/position.ts';
import { at, CHAT, chatValue, delta, resumed, streaming } from './wire.ts';

type Session = { readonly socket: WebSocket; following: boolean; sentSeq: number };

export class ScriptedServer {
  /** Command id → how often it came. */
  readonly commands = new Map<string, number>();
  /** Command ids in the order in which they took effect. */
  readonly effects: string[] = [];
  readonly outcomes = { resumed: 0, snapshot: 0 };
  /** Of the next commands: take effect, but cut the connection instead of replying. */
  cutReplies = 0;
  hellos = 0;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<Session>();
  /** One text each; the delta of `#texts[n]` has the seq n + 1. */
  readonly #texts: string[] = [];

  constructor() {
    this.#http = createServer();
    this.#sockets = new WebSocketServer({ server: this.#http, perMessageDeflate: false });
    this.#sockets.on('connection', (socket) => this.#accept(socket));
  }

  get text(): string {
    return this.#texts.join('');
  }

  get url(): string {
    const address = this.#http.address();
    assert(typeof address === 'object' && address !== null, 'the server listens');
    return `ws://127.0.0.1:${address.port}`;
  }

  async start(): Promise<void> {
    this.#http.listen(0, '127.0.0.1');
    await once(this.#http, 'listening');
  }

  async stop(): Promise<void> {
    this.cut();
    this.#sockets.close();
    this.#http.close();
    await once(this.#http, 'close');
  }

  /** Appends to the answer and sends it to whoever follows. */
  append(text: string): void {
    this.#texts.push(text);
    for (const session of this.#sessions) if (session.following) this.#catchUp(session);
  }

  /** Cuts every connection without a close frame. */
  cut(): void {
    for (const { socket } of this.#sessions) socket.terminate();
  }

  #accept(socket: WebSocket): void {
    const session: Session = { socket, following: false, sentSeq: 0 };
    this.#sessions.add(session);
    socket.on('close', () => this.#sessions.delete(session));
    socket.on('error', () => {});
    socket.on('message', (data: Buffer) => {
      const { frames, error } = decodeClientMessage(new Uint8Array(data));
      assert(error === null, `the client sends frames: ${error?.message}`);
      for (const frame of frames) this.#handle(session, frame);
    });
  }

  #handle(session: Session, frame: ReturnType<typeof decodeClientMessage>['frames'][number]): void {
    switch (frame.op) {
      case 'hello':
        this.hellos += 1;
        return this.#send(session, {
          op: 'welcome',
          version: 1,
          session: `s${this.hellos}`,
          node: 'n',
          owner: 'o',
          heartbeatMs: 20_000,
          expiresAtMs: Date.now() + 3_600_000,
          limits: SESSION_LIMITS,
        });
      case 'attach':
        return this.#attach(session, frame.cursor);
      case 'command':
        return this.#command(session, frame.id, frame.request);
      case 'query':
        return this.#send(session, {
          op: 'reply',
          request: frame.request,
          result: { models: [{ id: 'm', default: true }] },
          error: null,
        });
      case 'ping':
        return this.#send(session, { op: 'heartbeat', nowMs: Date.now(), positions: [] });
      default:
    }
  }

  #attach(session: Session, cursor: Position | null): void {
    session.following = true;
    if (cursor === null) {
      this.outcomes.snapshot += 1;
      session.sentSeq = this.#texts.length;
      this.#send(session, streaming(at(1, this.#texts.length), this.text));
      return;
    }
    this.outcomes.resumed += 1;
    session.sentSeq = cursor.seq;
    this.#send(session, resumed(at(1, this.#texts.length)));
    this.#catchUp(session);
  }

  #catchUp(session: Session): void {
    const frames: ServerFrame[] = [];
    for (let seq = session.sentSeq + 1; seq <= this.#texts.length; seq++) {
      const offset = Buffer.byteLength(this.#texts.slice(0, seq - 1).join(''));
      frames.push(delta(at(1, seq), offset, must(this.#texts[seq - 1], 'the log has this event')));
    }
    session.sentSeq = this.#texts.length;
    if (frames.length > 0) this.#send(session, ...frames);
  }

  #command(session: Session, id: string, request: number): void {
    const times = (this.commands.get(id) ?? 0) + 1;
    this.commands.set(id, times);
    if (times === 1) this.effects.push(id);
    if (this.cutReplies > 0 && session.socket.readyState === session.socket.OPEN) {
      this.cutReplies -= 1;
      session.socket.terminate();
      return;
    }
    const chat = { ...chatValue(), id: bytesOfChat(), root: bytesOfChat() };
    this.#send(session, { op: 'reply', request, result: { chat }, error: null });
  }

  #send({ socket }: Session, ...frames: readonly ServerFrame[]): void {
    if (socket.readyState === socket.OPEN) socket.send(joinFrames(frames.map(encodeServerFrame)));
  }
}

function bytesOfChat(): Uint8Array {
  return Uint8Array.from(Buffer.from(CHAT.replaceAll('-', ''), 'hex'));
}
