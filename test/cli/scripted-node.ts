// A server that speaks the protocol and does as a test says: one chat, whose log is a list of events.
import { SESSION_LIMITS } from '../../protocol/limits.ts';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { must } from '../../protocol/assert.ts';
import { applyEvent, type ChatState, EMPTY_CHAT_STATE } from '../../protocol/client/index.ts';
import { CLOSE_CODES, type CloseReason } from '../../protocol/close-codes.ts';
import { decodeClientMessage, encodeServerFrame } from '../../protocol/codec.ts';
import type { Action, CallName, Chat, Part, TextPart, ToolStatus } from '../../protocol/content.ts';
import { errorBody, type ErrorCode } from '../../protocol/errors.ts';
import type { ChatEvent, PositionedEvent } from '../../protocol/events.ts';
import type { ClientFrame, ServerFrame } from '../../protocol/frames.ts';
import { type ChatId, type CommandId, type Epoch, type TurnId, uuidToBytes } from '../../protocol/ids.ts';
import { wireChat, wireMessage } from '../../protocol/wire-content.ts';

export const TOKEN = 'token-of-the-test';
export const CHAT_ID = '0190a1b2-0000-7000-8000-000000000001' as ChatId;
const EPOCH = 1 as Epoch;

const CHAT: Chat = {
  id: CHAT_ID,
  owner: 'dev',
  parent: null,
  root: CHAT_ID,
  title: null,
  status: 'waiting',
  archived: false,
  model: 'scripted',
  last_error: null,
  last_turn: null,
  labels: {},
  created_at: 1_700_000_000_000,
  updated_at: 1_700_000_000_000,
};

type Command = ClientFrame & { readonly op: 'command' };

/** What the server does with a message, after it has replied that the turn has started. */
export type Script = (node: ScriptedNode, turn: TurnId) => void;

export class ScriptedNode {
  /** Names of the commands that came, in order, with their arguments. */
  readonly commands: Command[] = [];
  /** Refuses commands of that name. */
  readonly refusals = new Map<string, ErrorCode>();
  /** What follows an answer to a call of a tool; nothing unless a test says what. */
  onAnswer: (node: ScriptedNode, command: Command) => void = () => {};
  /** So many of the next connections are lost before they are of any use. */
  refusedConnections = 0;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #script: Script;
  readonly #log: PositionedEvent[] = [];
  readonly #followers = new Set<WebSocket>();
  #state: ChatState = { ...EMPTY_CHAT_STATE, position: { epoch: EPOCH, seq: 0 }, chat: CHAT };
  #wake: () => void = () => {};

  private constructor(http: Server, script: Script) {
    this.#http = http;
    this.#script = script;
    this.#sockets = new WebSocketServer({ server: http });
    this.#sockets.on('connection', (socket) => {
      if (this.refusedConnections > 0) {
        this.refusedConnections -= 1;
        socket.terminate();
        return;
      }
      socket.on('message', (data: Buffer) => this.#onMessage(socket, data));
      socket.on('close', () => this.#followers.delete(socket));
    });
  }

  static async start(script: Script = () => {}): Promise<ScriptedNode> {
    const http = createServer();
    await new Promise<void>((resolve) => {
      http.listen(0, '127.0.0.1', resolve);
    });
    return new ScriptedNode(http, script);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/v1/ws`;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#sockets.close();
    await new Promise((resolve) => {
      this.#http.close(resolve);
    });
  }

  /** Loses every connection, as a network does. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  /** Ends every connection with a close code of the protocol. */
  close(reason: CloseReason): void {
    for (const socket of this.#sockets.clients) socket.close(CLOSE_CODES[reason], reason);
  }

  /** Appends to the chat's log and tells the followers. */
  emit(...events: readonly ChatEvent[]): void {
    for (const event of events) {
      const position = { epoch: EPOCH, seq: this.#log.length + 1 };
      const positioned = { position, span: 1, event };
      const applied = applyEvent(this.#state, positioned);
      if (applied.outcome !== 'applied') throw new Error(`the script does not fit: ${JSON.stringify(event)}`);
      this.#state = applied.state;
      this.#log.push(positioned);
      for (const socket of this.#followers) send(socket, { op: 'event', chat: CHAT_ID, ...positioned });
    }
  }

  /** A step that calls tools: its message, its calls begun, and what waits for somebody. */
  call(turn: TurnId, calls: readonly (CallName & { readonly args?: string })[], ...actions: readonly Action[]): void {
    this.emit({ kind: 'step', type: 'started', turn, step: 1, attempt: 1 });
    this.commit(
      turn,
      calls.map(({ call, name, args = '{}' }) => ({ type: 'tool_call', text: args, call, name })),
    );
    for (const { call, name } of calls) this.emit({ kind: 'tool', type: 'started', step: 1, call, name });
    if (actions.length > 0) this.emit({ kind: 'action', actions });
  }

  /** The call has ended; nothing waits for anybody any more. */
  settle(turn: TurnId, call: string, text: string, status: ToolStatus = 'ok'): void {
    this.commit(turn, [{ type: 'tool_result', text, call, status }], 'tool');
    this.emit({ kind: 'tool', type: 'settled', step: 1, call, status });
    this.emit({ kind: 'action', actions: [] });
  }

  /** One step of a turn from its first event to its message. */
  answer(turn: TurnId, ...texts: readonly string[]): void {
    const step = (this.#state.turn?.step ?? 0) + 1;
    this.emit({ kind: 'step', type: 'started', turn, step, attempt: 1 });
    this.emit({ kind: 'block', type: 'start', step, index: 0, block: 'text' });
    let offset = 0;
    for (const text of texts) {
      this.emit({ kind: 'block', type: 'delta', step, index: 0, offset, text });
      offset += Buffer.byteLength(text);
    }
    this.emit({ kind: 'block', type: 'end', step, index: 0, bytes: offset });
    this.commit(turn, [{ type: 'text', text: texts.join('') }]);
  }

  commit(turn: TurnId, parts: readonly Part[], role: 'assistant' | 'tool' = 'assistant'): void {
    const number = this.#state.messages.length + 1;
    const id = `0190a1b2-0000-7000-8000-0000000001${String(number).padStart(2, '0')}`;
    this.emit({
      kind: 'message',
      message: { number, id, role, parts, created_at: 1, model: 'scripted', turn, step: this.#state.turn?.step ?? 1 },
    });
  }

  end(turn: TurnId, outcome: 'completed' | 'stopped' | 'max_tokens' | 'error' = 'completed', code?: ErrorCode): void {
    this.emit({ kind: 'turn', type: 'ended', turn, outcome, error: code === undefined ? null : errorBody(code) });
  }

  /** Resolves when a command of that name has come. */
  async received(name: string): Promise<Command> {
    for (;;) {
      const command = this.commands.find((one) => one.name === name);
      if (command !== undefined) return command;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #onMessage(socket: WebSocket, data: Buffer): void {
    for (const frame of decodeClientMessage(new Uint8Array(data)).frames) {
      if (frame.op === 'hello') this.#onHello(socket, frame.credential);
      else if (frame.op === 'attach') this.#onAttach(socket, frame);
      else if (frame.op === 'command') this.#onCommand(socket, frame);
      else if (frame.op === 'query') this.#onQuery(socket, frame);
    }
  }

  #onHello(socket: WebSocket, credential: string): void {
    if (credential !== TOKEN) return socket.close(CLOSE_CODES.unauthorized, 'unauthorized');
    const [session, node, owner] = ['s', 'n', 'dev'];
    const expiresAtMs = Date.now() + 3_600_000;
    const limits = SESSION_LIMITS;
    send(socket, { op: 'welcome', version: 1, session, node, owner, heartbeatMs: 20_000, expiresAtMs, limits });
  }

  #onAttach(socket: WebSocket, { chat, cursor }: ClientFrame & { readonly op: 'attach' }): void {
    if (chat !== CHAT_ID) return send(socket, { op: 'attached', chat, outcome: 'gone', position: null });
    const { position: top, chat: meta, messages, queue, turn: live } = this.#state;
    const position = must(top, 'the scripted chat has a position');
    this.#followers.add(socket);
    if (cursor !== null) {
      send(socket, { op: 'attached', chat, outcome: 'resumed', position });
      for (const event of this.#log.slice(cursor.seq)) send(socket, { op: 'event', chat, ...event });
      return;
    }
    const head = { drop_older: true, disowned: false, retracted: null, removed: [], has_older: false, queue };
    const emptied =
      live === null ? null : { ...live, blocks: withoutText(live.blocks), calls: withoutText(live.calls) };
    const texts = (live?.blocks ?? []).map(({ index, text }) => [index, 0, text] as const);
    const calls = (live?.calls ?? []).map(({ text }, place) => [place, 0, text] as const);
    const piece = {
      last: true,
      head: { ...head, chat: must(meta, 'the scripted chat has metadata'), live: emptied },
      messages,
      live: texts,
      calls,
    };
    send(socket, { op: 'attached', chat, outcome: 'snapshot', position, piece });
  }

  #onCommand(socket: WebSocket, command: Command): void {
    this.commands.push(command);
    this.#wake();
    const { request, name } = command;
    const refusal = this.refusals.get(name);
    if (refusal !== undefined) return send(socket, { op: 'reply', request, result: null, error: errorBody(refusal) });
    if (name === 'chat.send') return this.#onSend(socket, command);
    if (name === 'tool.approve' || name === 'tool.result') {
      send(socket, { op: 'reply', request, result: { outcome: 'running' }, error: null });
      return this.onAnswer(this, command);
    }
    const result =
      name === 'chat.stop' ? { outcome: 'stopping' } : { chat: wireChat(must(this.#state.chat, 'metadata')) };
    send(socket, { op: 'reply', request, result, error: null });
    if (name === 'chat.stop' && this.#state.turn !== null) this.end(this.#state.turn.turn, 'stopped');
  }

  #onSend(socket: WebSocket, { request, id, args }: Command): void {
    const turn = id as CommandId & TurnId;
    if (this.#state.turn !== null) return this.#enqueue(socket, { request, id, args });
    const number = this.#state.messages.length + 1;
    const [part] = args['content'] as readonly Part[];
    this.emit({
      kind: 'message',
      message: { number, id, role: 'user', parts: part === undefined ? [] : [part], created_at: 1, created_by: 'dev' },
    });
    this.emit({ kind: 'turn', type: 'started', turn, model: 'scripted' });
    const { position } = this.#state;
    const at = must(position, 'the scripted chat has a position');
    const result = { outcome: 'started', turn: uuidToBytes(turn), number, position: [at.epoch, at.seq] };
    send(socket, { op: 'reply', request, result, error: null });
    this.#script(this, turn);
  }

  #enqueue(socket: WebSocket, { request, id, args }: Pick<Command, 'request' | 'id' | 'args'>): void {
    const parts = args['content'] as readonly TextPart[];
    this.emit({ kind: 'queue', queue: [...this.#state.queue, { id, parts, created_by: 'dev', created_at: 1 }] });
    const at = must(this.#state.position, 'the scripted chat has a position');
    const result = { outcome: 'queued', turn: uuidToBytes(id), position: [at.epoch, at.seq] };
    send(socket, { op: 'reply', request, result, error: null });
  }

  #onQuery(socket: WebSocket, { request, name }: ClientFrame & { readonly op: 'query' }): void {
    const chat = must(this.#state.chat, 'metadata');
    const result =
      name === 'chats.list'
        ? { chats: [wireChat(chat)], next: null, feed: 0 }
        : { messages: this.#state.messages.map(wireMessage), has_more: false, queue: [] };
    send(socket, { op: 'reply', request, result, error: null });
  }
}

function withoutText<T extends { readonly text: string; readonly bytes: number }>(parts: readonly T[]): T[] {
  return parts.map((part) => ({ ...part, text: '', bytes: 0 }));
}

function send(socket: WebSocket, frame: ServerFrame): void {
  socket.send(encodeServerFrame(frame));
}
