// One device of a person: the real client library on the simulated network, and what its user does with it.

import { ClientError, CommandError, ParleyClient, type Busy, type ChatHandle } from '../../protocol/client/index.ts';
import { chatArgs, newChatArgs, parseChatResult, readResult, sendArgs, stopArgs } from '../../protocol/client/calls.ts';
import { decodeClientMessage } from '../../protocol/codec.ts';
import type { Args, ClientFrame, ServerFrame } from '../../protocol/frames.ts';
import type { Clock } from '../../actors/ports.ts';
import type { ChatId, CommandId, OwnerId, TurnId } from '../../protocol/ids.ts';
import { canonical, digestOf, isSame } from '../../loadtest/check/canonical.ts';
import type { HistoryRecord } from '../../loadtest/check/history.ts';
import { isPassing } from '../../loadtest/check/passing.ts';
import type { Audit } from './audit.ts';
import { ClientChecks } from './client-checks.ts';
import type { SimClock } from './clock.ts';
import type { Network } from './network.ts';
import { credential } from './node.ts';
import type { SimRandom } from './random.ts';

/** A command that some device has sent, and what is known of its outcome. */
export type Sent = {
  readonly id: CommandId;
  readonly owner: OwnerId;
  readonly name: string;
  readonly chat: ChatId | null;
  readonly args: Args;
  /** `unknown`: nobody told; `refused` is final, and had no effect. */
  outcome: 'pending' | 'acked' | 'refused' | 'unknown';
  result: unknown;
};

export type DeviceOptions = {
  readonly name: string;
  readonly owner: OwnerId;
  readonly role: 'member' | 'auditor';
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly network: Network;
  readonly audit: Audit;
  /** Every command of the run, by id. */
  readonly sent: Map<CommandId, Sent>;
  /** A user has learned of a chat. */
  readonly onChat: (chat: ChatId, owner: OwnerId) => void;
};

const CLOCK_WRONG_MS = 2 * 60 * 60 * 1_000;

/** How long a credential lasts, so that some are renewed within a run. */
const CREDENTIAL_MS = { min: 20_000, max: 600_000 } as const;

export class Device {
  readonly options: DeviceOptions;
  readonly client: ParleyClient;
  readonly #checks = new Map<ChatId, ClientChecks>();
  /** The frame that the client handles just now. */
  #handling: ServerFrame | null = null;
  isOpen = true;
  #isGone = false;
  #wasLive = false;

  constructor(options: DeviceOptions) {
    this.options = options;
    const { name, random, network } = options;
    this.client = new ParleyClient({
      url: 'ws://simulation',
      clientName: name,
      credential: () => this.#credential(),
      clock: this.#clock(),
      random: random.fork(),
      webSocket: network.webSocket(name, {
        onSend: (bytes) => this.#onSend(bytes),
        onHandled: () => {
          this.#handling = null;
        },
      }),
    });
    this.client.onStatus(({ status }) => this.#onStatus(status === 'live'));
    this.client.onFrame((frame) => {
      this.#handling = frame;
      this.#record(frame);
      for (const checks of this.#checks.values()) checks.onFrame(frame);
    });
    this.client.connect();
  }

  /** Its own clock, which may be wrong all along. */
  #clock(): Clock {
    const { clock, random, network } = this.options;
    if (!network.options.faults.strikes('clockWrong')) return clock;
    const aheadMs = random.int(-CLOCK_WRONG_MS, CLOCK_WRONG_MS);
    return { nowMs: () => clock.nowMs() + aheadMs, after: (delayMs, task) => clock.after(delayMs, task) };
  }

  /** Asks whoever hands out credentials. */
  async #credential(): Promise<string> {
    const { owner, role, clock, random, network } = this.options;
    const { faults } = network.options;
    if (faults.strikes('credentialLate')) {
      await new Promise<void>((resolve) => {
        clock.after(random.int(1, 20_000), resolve);
      });
    }
    if (faults.strikes('credentialFails')) throw new Error('simulated');
    let lifeMs = random.int(CREDENTIAL_MS.min, CREDENTIAL_MS.max);
    if (faults.strikes('credentialShort')) lifeMs = random.int(100, 8_000);
    if (faults.strikes('credentialStale')) lifeMs = -random.int(1, 60_000);
    return credential(owner, role, clock.nowMs() + lifeMs);
  }

  /** The handle of a chat, checked from the first time on. */
  handle(chat: ChatId): ChatHandle {
    const handle = this.client.chat(chat);
    if (!this.#checks.has(chat)) {
      this.#checks.set(chat, new ClientChecks(this.options.audit, handle, this.options.name));
    }
    return handle;
  }

  detach(chat: ChatId): void {
    this.handle(chat).detach();
    this.#add({ type: 'detached', chat });
  }

  get followed(): readonly ChatHandle[] {
    return Array.from(this.#checks.keys(), (chat) => this.client.chat(chat)).filter((handle) => handle.isAttached);
  }

  open(): void {
    if (this.#isGone) return;
    this.isOpen = true;
    this.client.connect();
  }

  /** Never to come back. */
  goAway(): void {
    this.#isGone = true;
    this.close();
  }

  close(): void {
    this.isOpen = false;
    this.client.close();
  }

  async create(parent: ChatId | null): Promise<void> {
    const chat = parent === null ? {} : { parent };
    const background = this.options.random.chance(0.4);
    const sent = await this.command('chats.create', null, newChatArgs({ title: 'a chat', background, ...chat }));
    if (sent.outcome !== 'acked') return;
    this.options.onChat(readResult(sent.result, parseChatResult).id, sent.owner);
  }

  send(chat: ChatId, text: string, busy: Busy): Promise<Sent> {
    return this.command('chat.send', chat, sendArgs(chat, { text, busy }));
  }

  /** Stops the turn that this device sees, or one that it makes up. */
  stop(chat: ChatId, { tree }: { readonly tree: boolean }): Promise<Sent> {
    const turn = this.client.chat(chat).state.turn?.turn ?? (this.client.newCommandId() as string as TurnId);
    return this.command('chat.stop', chat, stopArgs(chat, turn, tree ? { tree } : {}));
  }

  rename(chat: ChatId, title: string): Promise<Sent> {
    return this.command('chat.rename', chat, chatArgs(chat, { title }));
  }

  setLabels(chat: ChatId, labels: Readonly<Record<string, string>>): Promise<Sent> {
    return this.command('chat.set_labels', chat, chatArgs(chat, { labels }));
  }

  archive(chat: ChatId, archived: boolean): Promise<Sent> {
    return this.command(archived ? 'chat.archive' : 'chat.unarchive', chat, chatArgs(chat));
  }

  /** Attaches to a chat that is not this person's, and gives up when it hears that there is none. */
  trespass(chat: ChatId): void {
    const { audit, name } = this.options;
    const handle = this.client.chat(chat);
    const stop = handle.subscribe(() => {
      const { status } = handle.attachment;
      if (status === 'gone') audit.saw('gone');
      if (status === 'following') audit.fail('P4', `${name} follows the foreign chat ${chat}`);
      if (status !== 'gone' && status !== 'refused') return;
      stop();
      handle.detach();
    });
    handle.attach();
    void this.send(chat, 'hello?', 'queue').then(({ outcome }) => {
      if (outcome === 'acked') audit.fail('P3', `${name} wrote into the foreign chat ${chat}`);
    });
  }

  /** Sends a command that some device of the same person has sent before. */
  repeat(before: Sent): Promise<Sent> {
    return this.command(before.name, before.chat, before.args, before.id);
  }

  /** Resolves when the outcome is known or nobody will tell. */
  async command(name: string, chat: ChatId | null, args: Args, repeated?: CommandId): Promise<Sent> {
    const { sent, owner } = this.options;
    const id = repeated ?? this.client.newCommandId();
    const known = sent.get(id);
    const record: Sent = known ?? { id, owner, name, chat, args, outcome: 'pending', result: null };
    sent.set(id, record);
    if (chat !== null && name === 'chat.send') this.#add({ type: 'sent', chat, id, name });
    try {
      this.#acked(record, await this.client.command(name, args, { id }));
    } catch (error) {
      this.#failed(record, error);
    }
    return record;
  }

  #acked(record: Sent, result: unknown): void {
    const { audit } = this.options;
    if (record.outcome === 'refused') audit.fail('P3', `${record.name} ${record.id} was refused, then acknowledged`);
    if (record.outcome === 'acked' && !isSame(record.result, result)) {
      audit.fail('P3', `${record.name} ${record.id} was acknowledged twice, with another result`);
    }
    record.outcome = 'acked';
    record.result = result;
    const { chat, id, name } = record;
    if (chat === null || name !== 'chat.send') return;
    this.#add({ type: 'acked', chat, id, outcome: null, digest: digestOf(result) });
  }

  #failed(record: Sent, error: unknown): void {
    const { audit } = this.options;
    const isOpen = error instanceof CommandError && isPassing(error.code);
    if (error instanceof ClientError || isOpen) {
      if (record.outcome === 'pending') record.outcome = 'unknown';
      return;
    }
    if (!(error instanceof CommandError)) throw error;
    if (record.outcome === 'acked') {
      audit.fail('P3', `${record.name} ${record.id} was acknowledged, then refused: ${error.code}`);
    }
    record.outcome = 'refused';
    const { chat, id, name } = record;
    if (chat !== null && name === 'chat.send') this.#add({ type: 'refused', chat, id, code: error.code });
  }

  /** Sees what the client sends: with what it attaches, and why. */
  #onSend(data: Uint8Array): void {
    for (const frame of decodeClientMessage(data).frames) {
      if (frame.op === 'attach') this.#onAttach(frame);
      if (frame.op === 'auth') this.options.audit.saw('renewed');
    }
  }

  #onAttach({ chat, cursor }: ClientFrame & { readonly op: 'attach' }): void {
    const { audit, name } = this.options;
    if (this.#checks.has(chat)) this.#add({ type: 'attach', chat, cursor });
    const { attachment, state } = this.client.chat(chat);
    if (attachment.status === 'offline' && cursor === null && state.position !== null) {
      audit.fail('P4', `${name} lost its connection, and gave its cursor in ${chat} up`);
    }
    // An attach while it follows says that the server has skipped something; a server that says nothing was lost.
    const handling = this.#handling;
    if (handling === null || attachment.status !== 'following') return;
    const isSilent = handling.op === 'heartbeat' && !handling.positions.some(([named]) => named === chat);
    if (!isSilent) audit.fail('P5', `${name} found a gap in ${chat} at ${canonical(handling)}`);
  }

  #record(frame: ServerFrame): void {
    if (!('chat' in frame) || !this.#checks.has(frame.chat)) return;
    this.#add({ type: 'frame', chat: frame.chat, frame });
  }

  #onStatus(isLive: boolean): void {
    const { audit, clock, name } = this.options;
    if (this.#wasLive && !isLive) audit.history.add({ type: 'lost', at: clock.nowMs(), client: name });
    this.#wasLive = isLive;
  }

  #add(record: OwnRecord): void {
    const { audit, clock, name } = this.options;
    audit.history.add({ ...record, at: clock.nowMs(), client: name });
  }
}

/** What happens to a device with a chat; who and when is added. */
type OwnRecord = DistributiveOmit<
  Extract<HistoryRecord, { readonly client: string; readonly chat: ChatId }>,
  'at' | 'client'
>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
