// One chat as an application sees it: its state, kept up to date while attached, and what one can do with it.
//
// `subscribe` and `state` have the form of an external store (React's useSyncExternalStore and its like): the state is
// immutable, and listeners are called once per message of the server, however many events it holds.

import { unreachable } from '../assert.ts';
import type { Action, Chat } from '../content.ts';
import type { PositionedEvent } from '../events.ts';
import type { ChatId, CommandId, TurnId } from '../ids.ts';
import { comparePositions, type Position } from '../position.ts';
import { Attachment, type AttachmentOptions, type AttachmentStatus, type ChatFrame } from './attachment.ts';
import type { MessagePage, MessagesOptions, NewMessage, Sent, Compacted, Stopped, StopOptions } from './calls.ts';
import { EMPTY_CHAT_STATE, type ChatState } from './chat-state.ts';
import { serveTools, type ClientTool } from './client-tools.ts';
import type { Cleared, Edit, Fork, Forked, QueueChange, QueueChanged } from './edit-calls.ts';
import { clientError, type ClientError } from './errors.ts';
import { Listeners } from './listeners.ts';
import { applyOlderPage, applyPartText, dismissRetracted } from './local.ts';
import { PartLoader } from './part-loader.ts';
import type { Answered, ApprovalAnswer, ToolAnswer } from './tool-calls.ts';

/** What a handle needs from its client. */
export type HandleOptions = Pick<AttachmentOptions, 'clock' | 'random' | 'send' | 'refreshCredential'> & {
  readonly isLive: () => boolean;
  /** Why the handle may not attach now, or null. */
  readonly mayAttach: (handle: ChatHandle) => ClientError | null;
  /** Calls `notify` of the handle, now or when the message under way has been handled. */
  readonly changed: (handle: ChatHandle) => void;
  readonly resolveParts: boolean;
  readonly calls: ChatCalls;
};

export type ChatCalls = {
  send(chat: ChatId, message: NewMessage): Promise<Sent>;
  stop(chat: ChatId, turn: TurnId | null, options?: StopOptions): Promise<Stopped>;
  compact(chat: ChatId): Promise<Compacted>;
  read(chat: ChatId, number: number): Promise<number>;
  rename(chat: ChatId, title: string): Promise<Chat>;
  toolResult(chat: ChatId, answer: ToolAnswer): Promise<Answered>;
  answerApproval(chat: ChatId, answer: ApprovalAnswer): Promise<Answered>;
  edit(chat: ChatId, edit: Edit): Promise<Sent>;
  retry(chat: ChatId): Promise<Sent>;
  fork(chat: ChatId, fork: Fork): Promise<Forked>;
  clear(chat: ChatId): Promise<Cleared>;
  setModel(chat: ChatId, model: string): Promise<Chat>;
  promote(chat: ChatId, queued: CommandId): Promise<Sent>;
  changeQueue(chat: ChatId, change: QueueChange): Promise<QueueChanged>;
  messages(chat: ChatId, options: MessagesOptions): Promise<MessagePage>;
  part(chat: ChatId, number: number, index: number): Promise<string>;
};

export class ChatHandle {
  readonly id: ChatId;
  readonly #options: HandleOptions;
  readonly #attachment: Attachment;
  readonly #parts: PartLoader;
  readonly #changes = new Listeners<[]>();
  readonly #events = new Listeners<[PositionedEvent]>();
  /** The page that is being fetched: a second wish for it is the same one. */
  #older: Promise<boolean> | null = null;

  /** Made by `client.chat(id)`. */
  constructor(id: ChatId, options: HandleOptions) {
    this.id = id;
    this.#options = options;
    const { clock, random, send, refreshCredential } = options;
    this.#parts = new PartLoader({
      state: () => this.state,
      isWanted: () => this.isAttached,
      load: (number, index) => this.part(number, index),
    });
    this.#attachment = new Attachment(id, EMPTY_CHAT_STATE, {
      clock,
      random,
      send,
      refreshCredential,
      onChange: () => options.changed(this),
      onEvent: (event) => this.#events.call(event),
      onAttached: () => this.#resolveParts(),
    });
  }

  /** The state as of the newest applied event. Kept while detached; attaching again fetches only what it lacks. */
  get state(): ChatState {
    return this.#attachment.state;
  }

  get attachment(): AttachmentStatus {
    return this.#attachment.status;
  }

  /** Whether the application wants the chat, connected or not. */
  get isAttached(): boolean {
    return this.#attachment.isWanted;
  }

  /** Whether anybody would miss this handle. */
  get isIdle(): boolean {
    return !this.isAttached && this.#changes.size === 0 && this.#events.size === 0;
  }

  /** Follows the chat until `detach`, over all reconnects. Throws a `ClientError` when a bound of the client forbids it. */
  attach(): void {
    const refusal = this.#options.mayAttach(this);
    if (refusal !== null) throw refusal;
    this.#attachment.attach(this.#options.isLive());
  }

  detach(): void {
    this.#attachment.detach();
  }

  /** Called after changes of `state` and `attachment`. The function returned ends it. */
  subscribe(listener: () => void): () => void {
    return this.#changes.add(listener);
  }

  /** Called with each event that was applied, in order, once; `state` has it already. Snapshots bring no events. */
  onEvent(listener: (event: PositionedEvent) => void): () => void {
    return this.#events.add(listener);
  }

  /**
   * Resolves once the state has reached `position` (of a command's result, for instance), rejects when the chat cannot
   * be followed any more.
   */
  async reached(position: Position): Promise<void> {
    await this.until(({ position: cursor }) => cursor !== null && comparePositions(cursor, position) >= 0);
  }

  /** Resolves with the first state that fits; rejects when the chat is detached, gone or refused before that. */
  until(fits: (state: ChatState) => boolean): Promise<ChatState> {
    return new Promise((resolve, reject) => {
      const check = (): boolean => {
        if (fits(this.state)) {
          resolve(this.state);
          return true;
        }
        const ended = whyEnded(this.attachment);
        if (ended !== null) reject(ended);
        return ended !== null;
      };
      if (check()) return;
      const stop = this.subscribe(() => {
        if (check()) stop();
      });
    });
  }

  /** Fetches the page before the oldest message of the state; resolves with whether there is more. */
  loadOlder(limit?: number): Promise<boolean> {
    this.#older ??= this.#loadOlder(limit).finally(() => {
      this.#older = null;
    });
    return this.#older;
  }

  /** The whole text of a part, which then also stands in the state. */
  async part(number: number, index: number): Promise<string> {
    const text = await this.#options.calls.part(this.id, number, index);
    this.#attachment.change((state) => applyPartText(state, { number, index, text }));
    return text;
  }

  /** The person has seen that text was retracted. */
  dismissRetracted(): void {
    this.#attachment.change(dismissRetracted);
  }

  send(message: NewMessage | string): Promise<Sent> {
    return this.#options.calls.send(this.id, typeof message === 'string' ? { text: message } : message);
  }

  /** Stops the turn that runs as far as this state knows; null when none does. `tree`: and what runs in the chats below. */
  async stop(options: StopOptions = {}): Promise<Stopped | null> {
    const turn = this.state.turn?.turn ?? null;
    return turn === null && options.tree !== true ? null : this.#options.calls.stop(this.id, turn, options);
  }

  /** Makes the chat smaller for the model. */
  compact(): Promise<Compacted> {
    return this.#options.calls.compact(this.id);
  }

  /** The person has seen everything that this state shows; null when there is no message. */
  async read(): Promise<number | null> {
    const newest = this.state.messages.at(-1);
    return newest === undefined ? null : this.#options.calls.read(this.id, newest.number);
  }

  rename(title: string): Promise<Chat> {
    return this.#options.calls.rename(this.id, title);
  }

  /** The calls that wait for somebody: for the result of a client's tool, or for an approval. */
  get actions(): readonly Action[] {
    return this.state.turn?.actions ?? [];
  }

  /** Answers a call of a client's tool; the first answer of all devices counts. */
  toolResult(answer: ToolAnswer): Promise<Answered> {
    return this.#options.calls.toolResult(this.id, answer);
  }

  /** Lets a call run that asks first; `always`: and every later one of its tool in this chat. */
  approve({ call, hash }: Action, { always = false }: { readonly always?: boolean } = {}): Promise<Answered> {
    return this.#options.calls.answerApproval(this.id, { call, hash, allow: true, always });
  }

  /** Settles a call that asks first without running it. */
  deny({ call, hash }: Action): Promise<Answered> {
    return this.#options.calls.answerApproval(this.id, { call, hash, allow: false });
  }

  /**
   * Runs the tools whenever the model calls them, for as long as the chat is attached and the function returned was not
   * called. An answer that could not be given goes to `onFault`; the call then times out.
   */
  serve(tools: readonly ClientTool[], onFault?: (error: unknown) => void): () => void {
    return serveTools(this, tools, onFault);
  }

  /** Puts another message in the place of one that a user has sent: it and all behind it leave, the queue stays. */
  edit(edit: Edit): Promise<Sent> {
    return this.#options.calls.edit(this.id, edit);
  }

  /** Has the last message of a user answered again. */
  retry(): Promise<Sent> {
    return this.#options.calls.retry(this.id);
  }

  /** A new chat that begins with the messages up to one. */
  fork(fork: Fork): Promise<Forked> {
    return this.#options.calls.fork(this.id, fork);
  }

  /** From here on the model sees nothing of what was before. */
  clear(): Promise<Cleared> {
    return this.#options.calls.clear(this.id);
  }

  setModel(model: string): Promise<Chat> {
    return this.#options.calls.setModel(this.id, model);
  }

  /** Sends a message that waits now; what runs is interrupted. */
  promote(queued: CommandId): Promise<Sent> {
    return this.#options.calls.promote(this.id, queued);
  }

  changeQueue(change: QueueChange): Promise<QueueChanged> {
    return this.#options.calls.changeQueue(this.id, change);
  }

  // ------------------------------------------------------------------------------------- for the client only

  onUp(): void {
    this.#attachment.onUp();
  }

  onDown(): void {
    this.#attachment.onDown();
  }

  onFrame(frame: ChatFrame): void {
    this.#attachment.onFrame(frame);
  }

  onHeartbeat(position: Position | null): void {
    this.#attachment.onHeartbeat(position);
  }

  notify(): void {
    this.#changes.call();
  }

  async #loadOlder(limit: number | undefined): Promise<boolean> {
    const { history, oldest, hasOlder } = this.state;
    if (!hasOlder) return false;
    const page = await this.#options.calls.messages(this.id, {
      ...(oldest === null ? {} : { before: oldest }),
      ...(limit === undefined ? {} : { limit }),
    });
    this.#attachment.change((state) =>
      applyOlderPage(state, { history, messages: page.messages, hasMore: page.hasMore }),
    );
    this.#resolveParts();
    return this.state.hasOlder;
  }

  #resolveParts(): void {
    if (this.#options.resolveParts) this.#parts.start();
  }
}

function whyEnded(attachment: AttachmentStatus): ClientError | null {
  switch (attachment.status) {
    case 'detached':
      return clientError('not_followed', 'The chat was detached.');
    case 'gone':
      return clientError('not_followed', 'There is no such chat, or it is not yours.');
    case 'refused':
      return clientError('not_followed', attachment.error.message);
    case 'offline':
    case 'attaching':
    case 'following':
    case 'resting':
      return null;
    default:
      return unreachable(attachment);
  }
}
