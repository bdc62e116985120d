// Delays and failures around the store of one node. What was handed over is the database's: it goes on when the node
// dies, and only the answers are lost.

import type { ActorEpoch } from '../../actors/actor-ports.ts';
import type {
  Activation,
  ActivationResult,
  ArchiveRequest,
  ArchiveResult,
  ChatStore,
  Clock,
  CommandRow,
  CommitIntent,
  CommitResult,
  ListRequest,
  Principal,
  Read,
  Unavailable,
} from '../../actors/ports.ts';
import type { PageRange } from '../../actors/history-ports.ts';
import type { ChatId, CommandId, Epoch, OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { formatPosition } from '../../protocol/position.ts';
import type { LeaseNodes } from '../../gateway/node-lease.ts';
import type { NodesBeat } from '../../storage/nodes.ts';
import { describeIntent, short } from './describe.ts';
import type { Faults } from './faults.ts';
import type { MachineClock } from './machine-clock.ts';
import type { SimRandom } from './random.ts';

/** The database as a node reaches it. */
export type Database = { readonly isAway: boolean };

export type FaultyStoreOptions = {
  readonly store: ChatStore;
  /** Of the way there. */
  readonly clock: Clock;
  /** Of the node: an answer waits until it takes it. */
  readonly machine: MachineClock;
  readonly random: SimRandom;
  readonly faults: Faults;
  readonly database: Database;
  /** Called for each call that reaches the database. */
  readonly onCall: (describe: () => string) => void;
};

const UNAVAILABLE: Unavailable = { outcome: 'unavailable', detail: 'simulated' };
const UNKNOWN = { outcome: 'unknown', detail: 'simulated' } as const;
/** How long after its answer `unknown` a commit may still arrive. */
const LATE_MS_MAX = 3_000;

type Call<T> = {
  readonly apply: () => Promise<T>;
  readonly refuse: () => T;
  readonly lose: () => T | null;
};

export class FaultyStore implements ChatStore {
  readonly #options: FaultyStoreOptions;
  #isDead = false;

  constructor(options: FaultyStoreOptions) {
    this.#options = options;
  }

  /** The node has died: nothing is handed over and no answer comes any more. */
  kill(): void {
    this.#isDead = true;
  }

  activate(activations: readonly Activation[], commandsMax: number): Promise<readonly ActivationResult[]> {
    const { store, faults } = this.#options;
    return this.#call<readonly ActivationResult[]>(
      () => `activate ${activations.map((one) => short(one.chat)).join(' ')}`,
      {
        apply: () => store.activate(activations, commandsMax),
        refuse: () => activations.map(() => UNAVAILABLE),
        lose: () =>
          faults.strikes('activationLost') ? activations.map(() => ({ ...UNAVAILABLE, isUnknown: true })) : null,
      },
    );
  }

  commit(intent: CommitIntent): Promise<CommitResult> {
    return this.#write(
      () => describeIntent(intent),
      () => this.#options.store.commit(intent),
      () => UNKNOWN,
    );
  }

  archiveTree(request: ArchiveRequest): Promise<ArchiveResult> {
    return this.#write<ArchiveResult>(
      () => `archiveTree ${short(request.chat)}`,
      () => this.#options.store.archiveTree(request),
      () => UNKNOWN,
    );
  }

  create(...args: Parameters<ChatStore['create']>): ReturnType<ChatStore['create']> {
    return this.#write(
      () => 'create',
      () => this.#options.store.create(...args),
      () => UNAVAILABLE,
    );
  }

  fork(...args: Parameters<ChatStore['fork']>): ReturnType<ChatStore['fork']> {
    return this.#write(
      () => 'fork',
      () => this.#options.store.fork(...args),
      () => UNAVAILABLE,
    );
  }

  release(chat: ChatId, epoch: Epoch, sealed: Position | null): Promise<boolean> {
    return this.#call(() => `release ${short(chat)} at ${sealed === null ? 'no end' : formatPosition(sealed)}`, {
      apply: () => this.#options.store.release(chat, epoch, sealed),
      refuse: () => false,
      lose: () => null,
    });
  }

  changes(...args: Parameters<ChatStore['changes']>): ReturnType<ChatStore['changes']> {
    return this.#read(
      () => 'changes',
      () => this.#options.store.changes(...args),
    );
  }

  page(chat: ChatId, range: PageRange): ReturnType<ChatStore['page']> {
    return this.#read(
      () => 'page',
      () => this.#options.store.page(chat, range),
    );
  }

  part(chat: ChatId, number: number, part: number): ReturnType<ChatStore['part']> {
    return this.#read(
      () => 'part',
      () => this.#options.store.part(chat, number, part),
    );
  }

  prompt(chat: ChatId): ReturnType<ChatStore['prompt']> {
    return this.#read(
      () => 'prompt',
      () => this.#options.store.prompt(chat),
    );
  }

  findMessage(...args: Parameters<ChatStore['findMessage']>): ReturnType<ChatStore['findMessage']> {
    return this.#read(
      () => 'findMessage',
      () => this.#options.store.findMessage(...args),
    );
  }

  isPromptEmpty(chat: ChatId): ReturnType<ChatStore['isPromptEmpty']> {
    return this.#read(
      () => 'isPromptEmpty',
      () => this.#options.store.isPromptEmpty(chat),
    );
  }

  get(viewer: Principal, chat: ChatId): ReturnType<ChatStore['get']> {
    return this.#read(
      () => 'get',
      () => this.#options.store.get(viewer, chat),
    );
  }

  feed(...args: Parameters<ChatStore['feed']>): ReturnType<ChatStore['feed']> {
    return this.#read(
      () => 'feed',
      () => this.#options.store.feed(...args),
    );
  }

  feedTops(owners: readonly OwnerId[]): ReturnType<ChatStore['feedTops']> {
    return this.#read(
      () => 'feedTops',
      () => this.#options.store.feedTops(owners),
    );
  }

  list(request: ListRequest): ReturnType<ChatStore['list']> {
    return this.#read(
      () => 'list',
      () => this.#options.store.list(request),
    );
  }

  findCommand(principal: OwnerId, chat: ChatId | null, id: CommandId): ReturnType<ChatStore['findCommand']> {
    return this.#read(
      () => 'findCommand',
      () => this.#options.store.findCommand(principal, chat, id),
    );
  }

  keepRefusal(command: CommandRow): ReturnType<ChatStore['keepRefusal']> {
    return this.#read(
      () => 'keepRefusal',
      () => this.#options.store.keepRefusal(command),
    );
  }

  due(nowMs: number, limit: number): ReturnType<ChatStore['due']> {
    return this.#read(
      () => 'due',
      () => this.#options.store.due(nowMs, limit),
    );
  }

  overtaken(actors: readonly ActorEpoch[]): ReturnType<ChatStore['overtaken']> {
    return this.#read(
      () => 'overtaken',
      () => this.#options.store.overtaken(actors),
    );
  }

  /** What the lease of the node asks, on the same way; it asks too often to be traced. */
  lease(nodes: LeaseNodes): LeaseNodes {
    const { faults } = this.#options;
    return {
      ttlMs: nodes.ttlMs,
      register: (id) => this.#read(null, () => nodes.register(id)),
      beat: (mark) =>
        this.#call<Read<NodesBeat>>(null, {
          apply: () => nodes.beat(mark),
          refuse: () => UNAVAILABLE,
          lose: () => (faults.strikes('renewalLost') ? UNAVAILABLE : null),
        }),
      retire: () => this.#read(null, () => nodes.retire()),
      markExpiredDead: () => this.#read(null, () => nodes.markExpiredDead()),
      otherLiveNodes: () => this.#read(null, () => nodes.otherLiveNodes()),
    };
  }

  #read<T>(describe: (() => string) | null, apply: () => Promise<Read<T>>): Promise<Read<T>> {
    const { faults } = this.#options;
    if (faults.strikes('storeReadUnavailable')) return this.#answer(UNAVAILABLE);
    return this.#call<Read<T>>(describe, { apply, refuse: () => UNAVAILABLE, lose: () => null });
  }

  #write<T>(describe: () => string, apply: () => Promise<T>, unknown: () => T): Promise<T> {
    const { faults, clock, random } = this.#options;
    if (this.#isDead) return never();
    if (faults.strikes('storeUnknownLost')) return this.#answer(unknown());
    if (faults.strikes('storeUnknownLate')) {
      clock.after(random.int(1, LATE_MS_MAX), () => void apply());
      return this.#answer(unknown());
    }
    return this.#call(describe, {
      apply,
      refuse: () => UNAVAILABLE as T,
      lose: () => (faults.strikes('storeUnknownApplied') ? unknown() : null),
    });
  }

  /** One round to the database. `lose` gives what the caller hears in place of the answer, or null. */
  async #call<T>(describe: (() => string) | null, call: Call<T>): Promise<T> {
    const { faults, database } = this.#options;
    if (this.#isDead) return never();
    await this.#travel();
    if (database.isAway || faults.strikes('storeUnavailable')) return this.#answer(call.refuse());
    if (describe !== null) this.#options.onCall(describe);
    const answer = await call.apply();
    return this.#answer(call.lose() ?? answer);
  }

  async #answer<T>(answer: T): Promise<T> {
    await this.#travel();
    return new Promise((resolve) => {
      if (!this.#isDead) this.#options.machine.run(() => resolve(answer));
    });
  }

  #travel(): Promise<void> {
    const { clock, random, faults } = this.#options;
    const delayMs = faults.strikes('storeSlow') ? random.int(50, 1_500) : random.int(0, 3);
    return new Promise((resolve) => {
      clock.after(delayMs, resolve);
    });
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
