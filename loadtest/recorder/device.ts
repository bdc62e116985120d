// One client of one chat: the real client library, with everything that it sends and sees written down.

import { must } from '../../protocol/assert.ts';
import { CommandError, ParleyClient, type ChatHandle, type CredentialSource } from '../../protocol/client/index.ts';
import * as calls from '../../protocol/client/calls.ts';
import type { Busy } from '../../protocol/content.ts';
import type { Args, ServerFrame } from '../../protocol/frames.ts';
import type { ChatId, CommandId, TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { digestOf } from '../check/canonical.ts';
import { comparedState } from '../check/compare.ts';
import type { SentRecord } from '../check/history.ts';
import { isPassing } from '../check/passing.ts';
import { recordedWebSocket, type Urls } from './recorded-socket.ts';
import type { Recorder } from './recorder.ts';

export type DeviceOptions = {
  readonly name: string;
  readonly chat: ChatId;
  readonly urls: Urls;
  readonly credential: CredentialSource;
  readonly recorder: Recorder;
  /** Each frame of the chat, after it was written down and before the client handles it. */
  readonly onFrame: (device: Device, frame: ServerFrame) => void;
};

/** `open`: nobody can tell. */
export type Outcome =
  | { readonly outcome: 'acked'; readonly result: Readonly<Record<string, unknown>> }
  | { readonly outcome: 'refused' | 'open' };

/** A command as it was sent, to be sent again under its id. */
export type Command = { readonly id: CommandId; readonly name: string; readonly args: Args } & Pick<
  SentRecord,
  'title' | 'turn'
>;

export class Device {
  readonly client: ParleyClient;
  readonly handle: ChatHandle;
  readonly #options: DeviceOptions;
  #wasLive = false;
  #ended = false;
  /** Times that its connection was lost. */
  losses = 0;
  /** Commands that were refused, or whose outcome it never learned. */
  failures = 0;
  /** The node that it connected to last. */
  url = '';

  constructor(options: DeviceOptions) {
    this.#options = options;
    const { name, chat, credential } = options;
    const onAttach = ({ cursor }: { readonly cursor: Position | null }): void =>
      options.recorder.add({ type: 'attach', at: Date.now(), client: name, chat, cursor });
    this.client = new ParleyClient({
      url: 'ws://127.0.0.1',
      clientName: 'recorder',
      credential,
      webSocket: recordedWebSocket({ url: () => this.#nextUrl(), onAttach }),
    });
    this.client.onFrame((frame) => this.#onFrame(frame));
    this.client.onStatus(({ status }) => this.#onStatus(status === 'live'));
    this.handle = this.client.chat(chat);
    this.handle.attach();
  }

  get name(): string {
    return this.#options.name;
  }

  get chat(): ChatId {
    return this.#options.chat;
  }

  get isFollowing(): boolean {
    return this.handle.attachment.status === 'following';
  }

  connect(): void {
    this.client.connect();
  }

  /** Leaves at any byte and comes back, as devices do. What waited for a reply stays open. */
  reconnect(): void {
    this.client.close();
    this.client.connect();
  }

  /** For good, and without a word: what comes of it is no part of the history. */
  end(): void {
    this.#ended = true;
    this.handle.detach();
    this.client.close();
  }

  send(text: string, busy: Busy): Promise<Outcome & { readonly command: Command }> {
    const args = calls.sendArgs(this.#options.chat, { text, busy });
    return this.#command({ id: this.client.newCommandId(), name: 'chat.send', args });
  }

  stop(turn: TurnId): Promise<Outcome & { readonly command: Command }> {
    const args = calls.stopArgs(this.#options.chat, turn);
    return this.#command({ id: this.client.newCommandId(), name: 'chat.stop', args, turn });
  }

  rename(title: string): Promise<Outcome & { readonly command: Command }> {
    const args = calls.chatArgs(this.#options.chat, { title });
    return this.#command({ id: this.client.newCommandId(), name: 'chat.rename', args, title });
  }

  /** Sends a command again that some device of the chat has sent before. */
  repeat(command: Command): Promise<Outcome> {
    return this.#command(command);
  }

  /** Writes down what it shows. */
  recordEnd(): void {
    const { recorder, name, chat } = this.#options;
    recorder.add({ type: 'ended', at: Date.now(), client: name, chat, state: comparedState(this.handle.state) });
  }

  async #command(command: Command): Promise<Outcome & { readonly command: Command }> {
    const { recorder, name: client, chat } = this.#options;
    const { args, ...rest } = command;
    const by = { client, chat, id: command.id };
    recorder.add({ type: 'sent', at: Date.now(), ...by, ...rest });
    try {
      const result = (await this.client.command(command.name, args, { id: command.id })) as Record<string, unknown>;
      const outcome = typeof result['outcome'] === 'string' ? result['outcome'] : null;
      recorder.add({ type: 'acked', at: Date.now(), ...by, outcome, digest: digestOf(result) });
      return { outcome: 'acked', result, command };
    } catch (error) {
      if (this.#ended) return { outcome: 'open', command };
      this.failures += 1;
      const isRefusal = error instanceof CommandError && !isPassing(error.code);
      if (isRefusal) recorder.add({ type: 'refused', at: Date.now(), ...by, code: error.code });
      else recorder.add({ type: 'unknown', at: Date.now(), ...by });
      return { outcome: isRefusal ? 'refused' : 'open', command };
    }
  }

  #onFrame(frame: ServerFrame): void {
    const { recorder, name: client, chat, onFrame } = this.#options;
    if (this.#ended || !('chat' in frame) || frame.chat !== chat) return;
    recorder.add({ type: 'frame', at: Date.now(), client, chat, frame });
    onFrame(this, frame);
  }

  #nextUrl(): string {
    this.url = this.#options.urls.next();
    return this.url;
  }

  #onStatus(isLive: boolean): void {
    if (this.#wasLive && !isLive && !this.#ended) {
      this.losses += 1;
      this.#options.recorder.add({ type: 'lost', at: Date.now(), client: this.name });
    }
    this.#wasLive = isLive;
  }
}

/** The turn that a reply to `chat.send` names: the id of its command. */
export function turnOf({ id }: Command): TurnId {
  return id as string as TurnId;
}

export function pick<T>(items: readonly T[], fraction: number): T {
  return must(items[Math.floor(fraction * items.length)], 'there is something to pick');
}
