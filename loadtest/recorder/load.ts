// Chats with two devices each, that talk until they are told to end. Everything is recorded.

import { must } from '../../protocol/assert.ts';
import { SYSTEM_CLOCK } from '../../protocol/client/environment.ts';
import { ParleyClient } from '../../protocol/client/index.ts';
import type { TurnOutcome } from '../../protocol/content.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { Conversation } from './conversation.ts';
import { Device } from './device.ts';
import { askAll, recordChat, REST_MAX_MS, type FinaleOptions } from './finale.ts';
import { recordedWebSocket, type Urls } from './recorded-socket.ts';
import type { Recorder } from './recorder.ts';
import { Handovers } from './handovers.ts';
import { Takeovers } from './takeovers.ts';
import { within } from './within.ts';

export type LoadOptions = {
  readonly chats: number;
  /** Devices of each chat. */
  readonly devices: number;
  readonly urls: Urls;
  /** Of the owner with that number. */
  readonly credential: (owner: number) => Promise<string>;
  readonly recorder: Recorder;
  /** In [0, 1), by seed. */
  readonly fraction: () => number;
  readonly prompt: (fraction: () => number) => string;
  readonly said: FinaleOptions['said'];
  /** How often a device leaves and comes back by itself, per turn. */
  readonly leaves: number;
};

/** Chats of one owner: a session follows 64 at most, and what an owner may do is limited. */
const CHATS_PER_OWNER = 25;
/** Chats that are set up, or written down, at one time. */
const AT_ONCE = 16;

export class Load {
  readonly takeovers = new Takeovers();
  readonly handovers = new Handovers();
  /** How turns ended, as the devices saw it: each turn counts once a device that follows. */
  readonly outcomes = new Map<TurnOutcome, number>();
  readonly chats = new Map<ChatId, readonly Device[]>();
  readonly #options: LoadOptions;
  readonly #owners = new Map<ChatId, number>();
  readonly #conversations: Conversation[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #over = false;
  readonly #pauses = new Set<() => void>();

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get turns(): number {
    return this.#conversations.reduce((sum, { turns }) => sum + turns, 0);
  }

  /** The number of the chat's owner, for `credential`. */
  ownerOf(chat: ChatId): number {
    return must(this.#owners.get(chat), 'the load has made the chat');
  }

  get devices(): readonly Device[] {
    return [...this.chats.values()].flat();
  }

  /** Creates the chats and connects their devices; resolves when all of them follow. */
  async start(): Promise<void> {
    const creators = new Map<number, ParleyClient>();
    await inTurns(
      Array.from({ length: this.#options.chats }, (_, i) => i),
      async (i) => {
        const owner = Math.floor(i / CHATS_PER_OWNER);
        const creator = creators.get(owner) ?? this.#stranger(owner);
        creators.set(owner, creator);
        const { id } = await creator.createChat();
        this.#owners.set(id, owner);
        const devices = Array.from({ length: this.#options.devices }, (_unused, k) =>
          this.#device(id, owner, `${i}.${k}`),
        );
        this.chats.set(id, devices);
        await Promise.all(devices.map(({ handle }) => handle.until(({ position }) => position !== null)));
      },
    );
    for (const creator of creators.values()) creator.close();
  }

  /** Lets them talk. */
  talk(): void {
    const { fraction, prompt, leaves } = this.#options;
    const all = [...this.chats.values()].map((devices) => {
      const isOver = (): boolean => this.#over;
      const conversation = new Conversation({
        devices,
        fraction,
        prompt,
        leaves,
        isOver,
        pause: (ms) => this.pause(ms),
      });
      this.#conversations.push(conversation);
      // It ends when its chat cannot be followed any more, which the history shows.
      return conversation.run().catch(() => undefined);
    });
    this.#running = Promise.all(all);
  }

  /** Resolves after that time, or as soon as the load is over. */
  pause(ms: number): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const cancel = SYSTEM_CLOCK.after(ms, end);
      this.#pauses.add(end);
    });
  }

  /** The faults are over: every chat is asked, then compared and written down. */
  async finish(): Promise<void> {
    const { recorder, said } = this.#options;
    this.#over = true;
    for (const end of this.#pauses) end();
    const strangers = new Map<number, ParleyClient>();
    const optionsOf = (owner: number): FinaleOptions => {
      const fresh = strangers.get(owner) ?? this.#stranger(owner);
      strangers.set(owner, fresh);
      return { recorder, fresh, said };
    };
    await askAll(this.chats, optionsOf(0));
    // What is written down has to be all: no command is under way any more.
    await within(REST_MAX_MS, this.#running);
    await inTurns([...this.chats], ([chat, devices]) => recordChat(chat, devices, optionsOf(this.ownerOf(chat))));
    for (const stranger of strangers.values()) stranger.close();
  }

  /** Closes every connection. */
  async stop(): Promise<void> {
    this.#over = true;
    for (const end of this.#pauses) end();
    for (const device of this.devices) device.end();
    await this.#running;
  }

  #device(chat: ChatId, owner: number, name: string): Device {
    const { urls, recorder, credential } = this.#options;
    const device = new Device({
      name,
      chat,
      urls,
      recorder,
      credential: () => credential(owner),
      onFrame: (from, frame) => this.#onFrame(from, frame),
    });
    device.connect();
    return device;
  }

  #onFrame(device: Device, frame: ServerFrame): void {
    this.takeovers.onFrame(device.chat, frame);
    this.handovers.onFrame(device, frame);
    if (frame.op !== 'event' || frame.event.kind !== 'turn' || frame.event.type !== 'ended') return;
    const { outcome } = frame.event;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  /** A client that is not recorded. */
  #stranger(owner: number): ParleyClient {
    const { urls, credential } = this.#options;
    const webSocket = recordedWebSocket({ url: () => urls.next(), onAttach: () => undefined });
    const options = { url: 'ws://127.0.0.1', credential: () => credential(owner), clientName: 'recorder', webSocket };
    const client = new ParleyClient(options);
    client.connect();
    return client;
  }
}

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
