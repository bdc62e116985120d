// The client: one connection, any number of chats, commands that take effect once.
//
// `connect` starts, `close` ends; in between the connection comes and goes by itself while attached chats catch up and
// commands wait in the outbox. Everything is called synchronously from the socket and the clock: whoever steps those
// (tests, the simulation) sees a deterministic client.

import type { Chat, ChatSummary } from '../content.ts';
import type { OutgoingClientFrame } from '../codec.ts';
import type { Args, ServerFrame } from '../frames.ts';
import { uuidV7, type ChatId, type CommandId, type TokenId, type TurnId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import * as access from './access-calls.ts';
import * as calls from './calls.ts';
import * as edits from './edit-calls.ts';
import { ChatHandle, type HandleOptions } from './chat-handle.ts';
import { Connection, type CredentialSource } from './connection.ts';
import {
  SYSTEM_CLOCK,
  SYSTEM_RANDOM,
  systemWebSocket,
  type ClientClock,
  type ClientRandom,
  type WebSocketConstructor,
} from './environment.ts';
import { clientError, type ClientError } from './errors.ts';
import { Feed } from './feed.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { Listeners } from './listeners.ts';
import { Requests } from './requests.ts';
import type { ConnectionStatus } from './status.ts';
import * as tools from './tool-calls.ts';

export type ClientOptions = {
  /** `ws://` or `wss://`. */
  readonly url: string;
  /** A credential, or where to get a fresh one: asked before each connect and before the old one ends. */
  readonly credential: CredentialSource;
  /** What the server's log calls this program; at most 64 bytes. */
  readonly clientName?: string;
  /** Fetch parts that are too large for a snapshot by itself; true when absent. */
  readonly resolveParts?: boolean;
  readonly clock?: ClientClock;
  readonly random?: ClientRandom;
  readonly webSocket?: WebSocketConstructor;
  /** The W3C `traceparent` under which a command is sent, asked when it is made; null: none. */
  readonly traceParent?: () => string | null;
};

export type CommandOptions = {
  /** An id that the caller made with `newCommandId` and remembers, to repeat the command after a restart of its own. */
  readonly id?: CommandId;
};

export class ParleyClient {
  /** The list of one's own chats, live while it is watched. */
  readonly feed: Feed;
  readonly #clock: ClientClock;
  readonly #random: ClientRandom;
  readonly #connection: Connection;
  readonly #requests: Requests;
  readonly #handleOptions: HandleOptions;
  /** By use, the latest last. Bounded by `CLIENT_LIMITS.handles`. */
  readonly #handles = new Map<ChatId, ChatHandle>();
  readonly #statusListeners = new Listeners<[ConnectionStatus]>();
  readonly #frameListeners = new Listeners<[ServerFrame]>();
  /** What has changed while a message is handled; null between messages. */
  #changed: Set<{ notify(): void }> | null = null;

  /** Throws a `ClientError` when the runtime has no WebSocket and none was handed in. */
  constructor(options: ClientOptions) {
    const webSocket = options.webSocket ?? systemWebSocket();
    if (webSocket instanceof Error) throw webSocket;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#random = options.random ?? SYSTEM_RANDOM;
    const { url, credential, clientName = 'parley-client' } = options;
    const environment = { clock: this.#clock, random: this.#random };
    this.#connection = new Connection(
      { url, credential, clientName, webSocket, ...environment },
      {
        onStatus: (status) => this.#onStatus(status),
        onUp: () => this.#onUp(),
        onDown: () => this.#onDown(),
        onFrames: (frames) => this.#onFrames(frames),
      },
    );
    const { traceParent = () => null } = options;
    this.#requests = new Requests({ connection: this.#connection, ...environment, traceParent });
    const link = {
      ...environment,
      send: (frame: OutgoingClientFrame) => this.#connection.send(frame),
      refreshCredential: () => this.#connection.refreshCredential(),
      isLive: () => this.#connection.isLive,
    };
    this.feed = new Feed({
      ...link,
      nextRequest: () => this.#connection.nextRequest(),
      list: (page) => this.list(page),
      changed: () => this.#onChanged(this.feed),
    });
    this.#handleOptions = {
      ...link,
      mayAttach: (handle) => this.#mayAttach(handle),
      changed: (handle) => this.#onChanged(handle),
      resolveParts: options.resolveParts ?? true,
      calls: this,
    };
  }

  // ---------------------------------------------------------------------------------------------- connection

  get status(): ConnectionStatus {
    return this.#connection.status;
  }

  /** Commands and queries without a reply yet. */
  get pendingRequests(): number {
    return this.#requests.pending;
  }

  /** Connects, or stops waiting and tries at once. Also after `closed`. */
  connect(): void {
    this.#connection.connect();
  }

  /** Ends the connection; what waits for a reply rejects with a `ClientError` of kind `closed`. */
  close(): void {
    this.#connection.close();
  }

  /** Connects and resolves at the first `live`; rejects with a `ClientError` when the connection is `closed` before. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (status: ConnectionStatus): boolean => {
        if (status.status === 'live') resolve();
        else if (status.status === 'closed') reject(clientError('closed', status.reason));
        else return false;
        return true;
      };
      const stop = this.onStatus((status) => {
        if (check(status)) stop();
      });
      this.connect();
      if (this.status.status === 'live') {
        stop();
        resolve();
      }
    });
  }

  onStatus(listener: (status: ConnectionStatus) => void): () => void {
    return this.#statusListeners.add(listener);
  }

  /** Every frame that comes in, before it is handled: for tests and tools. */
  onFrame(listener: (frame: ServerFrame) => void): () => void {
    return this.#frameListeners.add(listener);
  }

  // --------------------------------------------------------------------------------------------------- chats

  /** The handle of a chat, the same one as long as it is attached or watched. Nothing is sent before `attach`. */
  chat(id: ChatId): ChatHandle {
    const known = this.#handles.get(id);
    const handle = known ?? new ChatHandle(id, this.#handleOptions);
    if (known === undefined) this.#makeRoom();
    this.#handles.delete(id);
    this.#handles.set(id, handle);
    return handle;
  }

  // --------------------------------------------------------------------------------------- commands, queries

  /** A fresh command id (UUIDv7), by the server's clock as far as it is known. */
  newCommandId(): CommandId {
    return uuidV7<CommandId>(this.#connection.serverNowMs(), this.#random.bytes(10));
  }

  /**
   * Sends a command, over reconnects and errors of the moment, until its reply has come: it takes effect once. Rejects
   * with a `CommandError` (the server refused) or a `ClientError`.
   */
  async command(name: string, args: Args, options: CommandOptions = {}): Promise<unknown> {
    this.#refuseWhenClosed();
    return this.#requests.command(options.id ?? this.newCommandId(), name, args);
  }

  /** The same for a query. */
  async query(name: string, args: Args): Promise<unknown> {
    this.#refuseWhenClosed();
    return this.#requests.query(name, args);
  }

  async createChat(chat: calls.NewChat = {}, options: CommandOptions = {}): Promise<Chat> {
    const result = await this.command('chats.create', calls.newChatArgs(chat), options);
    return calls.readResult(result, calls.parseChatResult);
  }

  async send(chat: ChatId, message: calls.NewMessage, options: CommandOptions = {}): Promise<calls.Sent> {
    const result = await this.command('chat.send', calls.sendArgs(chat, message), options);
    return calls.readResult(result, calls.parseSent);
  }

  /** Stopping what does not run any more is no error. `tree`: with what runs in the chats below; then `turn` may be null. */
  async stop(
    chat: ChatId,
    turn: TurnId | null,
    options: calls.StopOptions & CommandOptions = {},
  ): Promise<calls.Stopped> {
    const result = await this.command('chat.stop', calls.stopArgs(chat, turn, options), options);
    return calls.readResult(result, calls.parseStopped);
  }

  /** Makes the chat smaller for the model; refused with `nothing_to_compact` where there is nothing. */
  async compact(chat: ChatId, options: CommandOptions = {}): Promise<calls.Compacted> {
    const result = await this.command('chat.compact', calls.chatArgs(chat), options);
    return calls.readResult(result, calls.parseCompacted);
  }

  rename(chat: ChatId, title: string, options: CommandOptions = {}): Promise<Chat> {
    return this.#chatCommand('chat.rename', calls.chatArgs(chat, { title }), options);
  }

  /** Answers a call of a client's tool; the first answer of all devices counts. */
  async toolResult(chat: ChatId, answer: tools.ToolAnswer, options: CommandOptions = {}): Promise<tools.Answered> {
    const result = await this.command('tool.result', tools.toolResultArgs(chat, answer), options);
    return calls.readResult(result, tools.parseAnswered);
  }

  /** Answers an approval that is asked for; the first answer of all devices counts. */
  async answerApproval(
    chat: ChatId,
    answer: tools.ApprovalAnswer,
    options: CommandOptions = {},
  ): Promise<tools.Answered> {
    const result = await this.command('tool.approve', tools.approvalArgs(chat, answer), options);
    return calls.readResult(result, tools.parseAnswered);
  }

  /** Puts another message in the place of one that a user has sent; what was behind it leaves the chat, the queue stays. */
  edit(chat: ChatId, edit: edits.Edit, options: CommandOptions = {}): Promise<calls.Sent> {
    return edits.editMessage(this.#commandOf(options), chat, edit);
  }

  /** Has the last message of a user answered again; what was answered before leaves the chat. */
  retry(chat: ChatId, options: CommandOptions = {}): Promise<calls.Sent> {
    return edits.retryTurn(this.#commandOf(options), chat);
  }

  /** A new chat that begins with the messages up to one; the chat itself stays as it is. */
  fork(chat: ChatId, fork: edits.Fork, options: CommandOptions = {}): Promise<edits.Forked> {
    return edits.forkChat(this.#commandOf(options), chat, fork);
  }

  /** From here on the model sees nothing of what was before; people do. */
  clear(chat: ChatId, options: CommandOptions = {}): Promise<edits.Cleared> {
    return edits.clearChat(this.#commandOf(options), chat);
  }

  /** The model of the next turn and the ones behind it. */
  setModel(chat: ChatId, model: string, options: CommandOptions = {}): Promise<Chat> {
    return edits.setModel(this.#commandOf(options), chat, model);
  }

  /** Sends a message that waits now: what runs is interrupted, and keeps what it has shown. */
  promote(chat: ChatId, queued: CommandId, options: CommandOptions = {}): Promise<calls.Sent> {
    return edits.promoteQueued(this.#commandOf(options), chat, queued);
  }

  changeQueue(chat: ChatId, change: edits.QueueChange, options: CommandOptions = {}): Promise<edits.QueueChanged> {
    return edits.changeQueue(this.#commandOf(options), chat, change);
  }

  /** Replaces all labels. */
  setLabels(chat: ChatId, labels: Readonly<Record<string, string>>, options: CommandOptions = {}): Promise<Chat> {
    return this.#chatCommand('chat.set_labels', calls.chatArgs(chat, { labels }), options);
  }

  /** Archives the chat with everything below it; a turn that runs is stopped first. */
  archive(chat: ChatId, options: CommandOptions = {}): Promise<Chat> {
    return this.#chatCommand('chat.archive', calls.chatArgs(chat), options);
  }

  unarchive(chat: ChatId, options: CommandOptions = {}): Promise<Chat> {
    return this.#chatCommand('chat.unarchive', calls.chatArgs(chat), options);
  }

  /** Marks the messages up to that number as read; gives the number up to which they are now: it never goes back. */
  async read(chat: ChatId, number: number, options: CommandOptions = {}): Promise<number> {
    return calls.readResult(
      await this.command('chat.read', calls.chatArgs(chat, { number }), options),
      calls.parseRead,
    );
  }

  async list(options: calls.ListOptions = {}): Promise<calls.ChatPage> {
    return calls.readResult(await this.query('chats.list', calls.listArgs(options)), calls.parseChatPage);
  }

  async get(chat: ChatId): Promise<ChatSummary> {
    return calls.readResult(await this.query('chats.get', calls.chatArgs(chat)), calls.parseSummaryResult);
  }

  async messages(chat: ChatId, options: calls.MessagesOptions = {}): Promise<calls.MessagePage> {
    return calls.readResult(await this.query('messages', calls.chatArgs(chat, options)), calls.parseMessagePage);
  }

  /** The whole text of a part, fetched in slices. */
  async part(chat: ChatId, number: number, index: number): Promise<string> {
    return calls.collectPart(async (offset) => {
      const result = await this.query('messages.part', calls.chatArgs(chat, { number, part: index, offset }));
      return calls.readResult(result, calls.parsePartSlice);
    });
  }

  async models(): Promise<readonly calls.Model[]> {
    return calls.readResult(await this.query('models.list', {}), calls.parseModels);
  }

  /** Makes an API token here and has the server take it up; the token itself is in what is returned, and nowhere else. */
  createToken(token: access.NewToken = {}): Promise<access.MadeToken> {
    return access.createToken(this, this.#random.bytes(32), token);
  }

  tokens(options: { readonly owner?: string; readonly after?: access.TokenCursor } = {}): Promise<access.TokenPage> {
    return access.listTokens(this, options);
  }

  /** Ends the sessions that came with it, on all nodes. */
  revokeToken(id: TokenId): Promise<void> {
    return access.revokeToken(this, id);
  }

  #commandOf(options: CommandOptions): (name: string, args: Args) => Promise<unknown> {
    return (name, args) => this.command(name, args, options);
  }

  async #chatCommand(name: string, args: Args, options: CommandOptions): Promise<Chat> {
    return calls.readResult(await this.command(name, args, options), calls.parseChatResult);
  }

  /** Waiting for a connection that nobody will make would be waiting for ever. */
  #refuseWhenClosed(): void {
    const { status } = this;
    if (status.status === 'closed') throw clientError('closed', status.reason);
  }

  // -------------------------------------------------------------------------------------------------- inside

  #onStatus(status: ConnectionStatus): void {
    if (status.status === 'closed') this.#requests.rejectAll(status.reason);
    this.#statusListeners.call(status);
  }

  #onUp(): void {
    for (const handle of this.#handles.values()) handle.onUp();
    this.feed.onUp();
    this.#requests.onUp();
  }

  #onDown(): void {
    this.#requests.onDown();
    for (const handle of this.#handles.values()) handle.onDown();
    this.feed.onDown();
  }

  #onFrames(frames: readonly ServerFrame[]): void {
    const changed = new Set<{ notify(): void }>();
    this.#changed = changed;
    for (const frame of frames) {
      this.#frameListeners.call(frame);
      this.#onFrame(frame);
    }
    this.#changed = null;
    for (const part of changed) part.notify();
  }

  #onFrame(frame: ServerFrame): void {
    switch (frame.op) {
      case 'reply':
        if (!this.feed.onReply(frame)) this.#requests.onReply(frame);
        return;
      case 'feed':
        return this.feed.onFrame(frame);
      case 'event':
      case 'skipped':
      case 'attached':
      case 'refused':
        return this.#handles.get(frame.chat)?.onFrame(frame);
      case 'heartbeat': {
        const positions = new Map(frame.positions);
        for (const [id, handle] of this.#handles) handle.onHeartbeat(positions.get(id) ?? null);
        this.feed.onHeartbeat(frame.feed ?? null);
        return;
      }
      default:
        // The others are the connection's, and those of a later version are nobody's.
        return;
    }
  }

  #onChanged(part: { notify(): void }): void {
    if (this.#changed === null) part.notify();
    else this.#changed.add(part);
  }

  #mayAttach(handle: ChatHandle): ClientError | null {
    if (this.#handles.get(handle.id) !== handle) {
      return clientError('handle_dropped', 'This handle was unused for long. Ask the client for the chat again.');
    }
    if (handle.isAttached) return null;
    const attached = [...this.#handles.values()].filter(({ isAttached }) => isAttached).length;
    return attached < LIMITS.attachmentsPerSession
      ? null
      : clientError('too_many_chats', `A client follows at most ${LIMITS.attachmentsPerSession} chats. Detach one.`);
  }

  /** Forgets the chat that was used longest ago and that nobody would miss. */
  #makeRoom(): void {
    if (this.#handles.size < CLIENT_LIMITS.handles) return;
    for (const [id, handle] of this.#handles) {
      if (!handle.isIdle) continue;
      this.#handles.delete(id);
      return;
    }
    throw clientError('too_many_chats', `${CLIENT_LIMITS.handles} chats are watched already. Unsubscribe from some.`);
  }
}
