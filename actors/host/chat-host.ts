// The host: keeps the actors of a node. It loads a chat when somebody needs it, lets go of it when nobody does, builds
// it anew when its actor ended under way, and takes up what a dead process left running.
//
// Invariants: at most one actor per chat here; a chat whose turn runs has an actor or a pending revival; nothing
// is started once `drain` was called.

import type { QueuedMessage } from '../../protocol/content.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import type { Args } from '../../protocol/frames.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { ChatActor, type ActorDeps } from '../chat/actor.ts';
import { CommandRunner, refusal } from '../chat/command-runner.ts';
import { isChatCommandName, parseChatArg } from '../chat/commands.ts';
import { ActorCounts, type EndReason } from '../chat/counts.ts';
import { hear } from '../chat/hear.ts';
import type { Told } from '../inbox-ports.ts';
import type { CommandReply, Log, Principal } from '../ports.ts';
import { traceField } from '../tracing.ts';
import { Activations } from './activations.ts';
import type { Attached, ChatHost, CommandRequest, Elsewhere, Follower, QueryResult } from './api.ts';
import { actorSource, attachTo, placeIn, SEES_ALL, type AttachSource } from './attach.ts';
import { Crashes } from './crashes.ts';
import { createChat } from './create.ts';
import { DueScan } from './due-scan.ts';
import { HostFamily, type Rested } from './family.ts';
import { forkChat } from './fork.ts';
import type { HostDeps } from './host-deps.ts';
import { measureActors, type ActorsMeasure } from './measure.ts';
import { endOvertaken } from './overtaken.ts';
import { runQuery } from './queries.ts';
import { Revivals } from './revivals.ts';
import { HOST_LIMITS } from './settings.ts';

/** The log of a chat that is here, with a follower on it; `since` as in `placeIn`. */
export type Followed =
  | {
      readonly outcome: 'resumed' | 'snapshot';
      readonly source: AttachSource;
      readonly position: Position;
      readonly detach: () => void;
    }
  | Extract<Attached, { outcome: 'gone' | 'refused' }>
  | Elsewhere;

type Resident = { readonly actor: ChatActor; readonly runner: CommandRunner; readonly ready: Promise<void> };

type Obtained = { readonly resident: Resident } | Unobtained;
type Unobtained = { readonly error: ErrorBody } | { readonly owner: NodeId | null };

const GONE: Unobtained = { error: errorBody('not_found') };

export class NodeChatHost implements ChatHost {
  /** Since the start. What is there now: `measure`. */
  readonly counts = new ActorCounts();
  readonly #deps: HostDeps & ActorDeps;
  readonly #log: Log;
  readonly #residents = new Map<ChatId, Resident>();
  readonly #loading = new Map<ChatId, Promise<Unobtained | null>>();
  readonly #activations: Activations;
  readonly #crashes = new Crashes(this.counts.limits);
  readonly #revivals: Revivals;
  readonly #family: HostFamily;
  readonly #due: DueScan;
  #draining = false;
  /** What ends now is for whoever looks for what is due. */
  #abandoning = false;
  #cancelTimers: (() => void)[] = [];

  constructor(deps: HostDeps) {
    const { counts } = this;
    const onTold = (): void => {
      void this.takeUp();
      deps.onTold?.();
    };
    this.#deps = { ...deps, counts, onTold, onEnded: (actor, reason) => this.#ended(actor, reason) };
    this.#log = deps.log;
    this.#activations = new Activations(deps.store, counts);
    this.#revivals = new Revivals(deps.clock, counts, (chat) => this.#reviveOrAgain(chat));
    this.#due = new DueScan({
      ...deps,
      isMine: deps.isMine,
      isResident: (chat) => this.#residents.has(chat),
      revive: (chat) => this.#revive(chat),
      hear: (told) => this.#hear(told),
      onFault: (error) => this.#log.error('chats could not be taken up', { error }),
    });
    this.#family = new HostFamily({
      ...deps,
      obtain: (chat) => this.#actorOf(chat),
      residentOf: (chat) => this.#residents.get(chat)?.actor,
    });
  }

  /** Takes up what runs or is due, then begins to look after the residents. Resolves when every such chat is loaded. */
  async start(): Promise<void> {
    const nextMs = await this.#due.run();
    this.#repeat(nextMs, () => this.#due.run());
    this.#repeat(HOST_LIMITS.sweepEveryMs, () => this.#sweep());
    if (this.#deps.isMine === undefined) return;
    this.#repeat(HOST_LIMITS.overtakenEveryMs, async () => {
      await endOvertaken(this.#deps.store, this.#actors());
      return HOST_LIMITS.overtakenEveryMs;
    });
  }

  /**
   * Refuses what is new, gives chats at rest up at once and the others as soon as no request to a model is in flight; what
   * still runs at the deadline is left to recovery. Among others a chat is served until it is given up.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    for (const cancel of this.#cancelTimers) cancel();
    this.#due.stop();
    this.#revivals.stop();
    await Promise.allSettled(this.#loading.values());
    const { drainMs } = this.#deps.host;
    const actors = [...this.#actors()].toSorted(runningLast);
    const running = actors.filter(({ atRest }) => !atRest).length;
    await Promise.all(
      actors.map(async (actor, place) => {
        // Not all at the deadline: whoever takes them up has them one after the other, and their clients wait less.
        const late = Math.max(0, place - (actors.length - running)) / Math.max(1, running);
        await this.#restsWithin(actor, drainMs * (1 - HOST_LIMITS.drainSpread * late));
        await this.#giveUp(actor);
      }),
    );
  }

  *#actors(): Generator<ChatActor> {
    for (const { actor } of this.#residents.values()) yield actor;
  }

  async #restsWithin(actor: ChatActor, ms: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(ms, () => {
      this.counts.limits.add('drainMs');
      late.resolve();
    });
    await Promise.race([actor.prepareDrain(), late.promise]);
    cancel();
  }

  async #giveUp(actor: ChatActor): Promise<void> {
    const { isMine, store, onGivenUp } = this.#deps;
    const runs = actor.state.turn !== null;
    const wanted = runs || actor.streamLog.followers > 0 || actor.state.queue.length > 0;
    await actor.drain();
    // What was shown is journaled: whoever takes it up recovers it at once, and need not wait for the end of this node.
    if (runs && isMine !== undefined) await store.release(actor.chat, actor.epoch, null);
    if (wanted) onGivenUp?.(actor.chat);
  }

  /** What was withheld from the followers while this node was suspended may be read. */
  announce(): void {
    for (const { actor } of this.#residents.values()) actor.streamLog.announce();
  }

  /** This node was declared dead: others may have its chats. Nothing of them is shown, answered or started any more. */
  abandon(): void {
    this.#revivals.clear();
    this.#abandoning = true;
    for (const { actor } of this.#residents.values()) actor.end('stale');
    this.#abandoning = false;
  }

  get residents(): number {
    return this.#residents.size;
  }

  /** Looks at every actor: for whoever scrapes now and then. */
  measure(): ActorsMeasure {
    const actors = [...this.#residents.values()].map((resident) => resident.actor);
    const { running, waiting } = this.#deps.tools.measure();
    return measureActors(actors, {
      activationsWaiting: this.#activations.waiting,
      revivals: this.#revivals.pending,
      toolsRunning: running,
      toolsWaiting: waiting,
    });
  }

  async attach(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached> {
    const attached = await this.attachHere(viewer, chat, cursor, follower);
    return attached.outcome === 'elsewhere' ? unavailable() : attached;
  }

  /** As `attach`, or says that the chat is another node's. */
  attachHere(
    viewer: Principal,
    chat: ChatId,
    cursor: Position | null,
    follower: Follower,
  ): Promise<Attached | Elsewhere> {
    return this.#onActor(chat, viewer, ({ actor }) => attachTo(actorSource(actor), cursor, follower));
  }

  /** For whoever follows the log itself: no message is read. */
  followHere(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Followed> {
    return this.#onActor(chat, viewer, async ({ actor }) => {
      const source = actorSource(actor);
      const found = await placeIn(source, cursor, follower);
      return found === 'ended' ? found : { ...found, source };
    });
  }

  /** Where the log stands, once storage has said that it still is the chat's. */
  confirmHere(
    viewer: Principal,
    chat: ChatId,
  ): Promise<
    | { readonly outcome: 'top'; readonly position: Position }
    | Extract<Attached, { outcome: 'gone' | 'refused' }>
    | Elsewhere
  > {
    return this.#onActor(chat, viewer, async ({ actor }) => {
      await actor.confirm();
      return actor.ended === null ? { outcome: 'top' as const, position: actor.streamLog.top } : 'ended';
    });
  }

  /** Somebody saw a higher epoch of the chat than `actor` has: it asks storage, and ends if that is so. */
  async fence(chat: ChatId, epoch: number): Promise<void> {
    const actor = this.#residents.get(chat)?.actor;
    if (actor !== undefined && actor.epoch < epoch) await actor.confirm();
  }

  isResident(chat: ChatId): boolean {
    return this.#residents.has(chat) || this.#loading.has(chat);
  }

  /** Does it with the chat's actor; with the next one when that ends under way. */
  async #onActor<T extends object>(
    chat: ChatId,
    viewer: Principal,
    act: (resident: Resident) => Promise<T | 'ended'>,
  ): Promise<T | Extract<Attached, { outcome: 'gone' | 'refused' }> | Elsewhere> {
    for (let tries = 0; tries < HOST_LIMITS.triesMax; tries++) {
      const obtained = await this.#obtain(chat, viewer);
      if ('owner' in obtained) return { outcome: 'elsewhere', node: obtained.owner };
      if ('error' in obtained) {
        return obtained.error.code === 'not_found'
          ? { outcome: 'gone' }
          : { outcome: 'refused', error: obtained.error };
      }
      const done = await act(obtained.resident);
      if (done !== 'ended') return done;
    }
    this.counts.limits.add('triesMax');
    return unavailable();
  }

  async command(principal: Principal, request: CommandRequest): Promise<CommandReply> {
    const reply = await this.commandHere(principal, request);
    return 'outcome' in reply ? refusal(errorBody('unavailable', undefined, 1_000)) : reply;
  }

  /** As `command`, or says that the chat is another node's; it was not done then. */
  async commandHere(principal: Principal, request: CommandRequest): Promise<CommandReply | Elsewhere> {
    if (this.#draining && this.#deps.isMine === undefined) return goesDown();
    if (request.name === 'chats.create') return createChat(this.#deps, principal, request);
    if (request.name === 'chat.fork') return forkChat(this.#deps, principal, request);
    if (!isChatCommandName(request.name)) return refusal(errorBody('unknown_command'));
    const chat = parseChatArg(request.args);
    if (!chat.ok) return refusal(chat.error);
    for (let tries = 0; tries < HOST_LIMITS.triesMax; tries++) {
      const obtained = await this.#obtain(chat.value, principal);
      if ('owner' in obtained) return { outcome: 'elsewhere', node: obtained.owner };
      // An actor that ended may have left a commit on its way: "nothing was changed" would be too much to say.
      if ('error' in obtained) return refusal(tries === 0 ? obtained.error : errorBody('unknown_outcome'));
      const { actor, runner } = obtained.resident;
      if (actor.state.chat.owner !== principal.owner) return refusal(errorBody('forbidden'));
      actor.lastUsedMs = this.#deps.clock.nowMs();
      const outcome = await runner.run(principal, request);
      if (outcome !== 'ended') return outcome;
      if (this.#draining && this.#deps.isMine === undefined) return goesDown();
    }
    this.counts.limits.add('triesMax');
    return refusal(errorBody('unknown_outcome'));
  }

  query(viewer: Principal, name: string, args: Args): Promise<QueryResult> {
    const { store, models } = this.#deps;
    const queueOf = async (by: Principal, chat: ChatId) => {
      const queue = await this.queueHere(by, chat);
      return queue !== null && 'outcome' in queue ? null : queue;
    };
    return runQuery({ store, models, queueOf }, viewer, name, args);
  }

  /** The messages that wait; null when that cannot be told now. */
  async queueHere(viewer: Principal, chat: ChatId): Promise<readonly QueuedMessage[] | Elsewhere | null> {
    const obtained = await this.#obtain(chat, viewer);
    if ('owner' in obtained) return { outcome: 'elsewhere', node: obtained.owner };
    return 'error' in obtained ? null : obtained.resident.actor.streamLog.view.queue;
  }

  /** Brings the chat to rest, for a moment, so that another node can archive it with its tree. */
  restHere(chat: ChatId): Promise<Elsewhere | Rested> {
    return this.#family.restHere(chat);
  }

  async #actorOf(chat: ChatId): Promise<ChatActor | Elsewhere | null> {
    const obtained = await this.#obtain(chat, null);
    if ('owner' in obtained) return { outcome: 'elsewhere', node: obtained.owner };
    return 'resident' in obtained ? obtained.resident.actor : null;
  }

  /** The chat's actor, loaded if need be. A chat that the viewer may not see looks like none. */
  async #obtain(chat: ChatId, viewer: Principal | null): Promise<Obtained> {
    for (let tries = 0; tries < HOST_LIMITS.triesMax; tries++) {
      const resident = this.#residents.get(chat);
      if (resident !== undefined) {
        await resident.ready;
        if (resident.actor.ended !== null) continue;
        return maySee(resident.actor, viewer) ? { resident } : GONE;
      }
      // Among others the chat is for one that stays.
      if (this.#draining && this.#deps.isMine !== undefined) return { owner: null };
      if (this.#draining) return { error: errorBody('shutting_down', undefined, 1_000) };
      // Everybody waits for the same promise, so that commands reach the actor in the order in which they came. Somebody
      // else's load may have been refused to them only: look again when it is done.
      const pending = this.#loading.get(chat);
      const refused = await (pending ?? this.#load(chat, viewer));
      if (pending === undefined && refused !== null) return refused;
      // It ended in its first task. Revivals have a wait of their own between their tries.
      if (viewer === null && !this.#residents.has(chat)) break;
    }
    return { error: errorBody('unavailable', undefined, 1_000) };
  }

  #load(chat: ChatId, viewer: Principal | null): Promise<Unobtained | null> {
    const waitMs = viewer === null ? 0 : (this.#deps.admitActivation?.(viewer.owner) ?? 0);
    if (waitMs > 0) return Promise.resolve({ error: errorBody('rate_limited', 'chats that were at rest', waitMs) });
    if (this.#residents.size >= this.#deps.host.residentMax && !this.#makeRoom()) {
      this.counts.limits.add('residentMax');
      return Promise.resolve({ error: errorBody('unavailable', 'too many chats are active', 1_000) });
    }
    const loading = this.#activate(chat, viewer).finally(() => this.#loading.delete(chat));
    this.#loading.set(chat, loading);
    return loading;
  }

  async #activate(chat: ChatId, viewer: Principal | null): Promise<Unobtained | null> {
    const result = await this.#activations.load({ chat, viewer });
    if (result.outcome === 'gone') return GONE;
    if (result.outcome === 'owned') return { owner: result.node };
    // It may be this node's by now, with a turn that runs: no scan for what is due would find it.
    if (result.outcome === 'unavailable' && result.isUnknown === true && !this.#draining) this.#revivals.add(chat);
    if (result.outcome !== 'activated') return { error: errorBody('unavailable', undefined, 1_000) };
    const crashed = this.#crashes.count(chat, this.#deps.clock.nowMs()) >= HOST_LIMITS.crashesMax;
    if (crashed) this.counts.limits.add('crashesMax');
    const actor = new ChatActor(this.#deps, result.record, crashed);
    const runner = new CommandRunner(actor, result.record, this.#family);
    // A crash in its first task has ended it already, and its revival is under way.
    if (actor.ended !== null) return { error: errorBody('unavailable', undefined, 1_000) };
    this.#residents.set(chat, { actor, runner, ready: actor.settled() });
    return null;
  }

  #ended(actor: ChatActor, reason: EndReason): void {
    const { chat } = actor;
    this.counts.ends.add(reason);
    const resident = this.#residents.get(chat);
    if (resident?.actor === actor) {
      this.#residents.delete(chat);
      resident.runner.end();
    }
    if (reason === 'passivated' || reason === 'drained' || this.#abandoning) return;
    this.#log.warn('actor ended', { chat, reason, epoch: actor.epoch, ...traceField(actor.state.turn?.trace) });
    if (reason === 'crashed' || reason === 'rejected') this.#crashes.note(chat, this.#deps.clock.nowMs());
    if (!this.#draining && !this.#sleeps(chat)) this.#revivals.add(chat);
  }

  async #reviveOrAgain(chat: ChatId): Promise<boolean> {
    try {
      return await this.#revive(chat);
    } catch (error) {
      this.#log.error('revival failed', { chat, error });
      return false;
    }
  }

  /** Loads a chat on the node's own behalf; false when it has to be tried again. */
  async #revive(chat: ChatId): Promise<boolean> {
    const obtained = await this.#obtain(chat, null);
    // Another node that has it sees to it.
    if (!('error' in obtained)) return true;
    return obtained.error.code === 'not_found' || this.#draining || this.#sleeps(chat);
  }

  /** Giving its turn up has crashed too: the chat is left alone until somebody asks for it (P12). */
  #sleeps(chat: ChatId): boolean {
    return this.#crashes.count(chat, this.#deps.clock.nowMs()) > HOST_LIMITS.crashesMax;
  }

  /** A node is dead, or a chat was told something: looks for what waits for this node. Never rejects. */
  takeUp(): Promise<void> {
    return this.#due.takeUp();
  }

  /** Loads a chat that another node has given up, when nobody has asked for it yet. */
  async takeUpChat(chat: ChatId): Promise<void> {
    if (!this.#draining && !this.#residents.has(chat)) await this.#reviveOrAgain(chat);
  }

  async #hear(told: Told): Promise<void> {
    const actor = await this.#actorOf(told.chat);
    // Whoever has it by then finds the row.
    if (actor === null || 'outcome' in actor) return;
    actor.post(() => hear(actor, told));
    await actor.settled();
  }

  async #sweep(): Promise<number> {
    const { clock, host } = this.#deps;
    const idleSince = clock.nowMs() - host.passivateAfterMs;
    const idle = [...this.#actors()].filter((actor) => isIdle(actor) && actor.lastUsedMs <= idleSince);
    await Promise.all(idle.map((actor) => actor.passivate()));
    return HOST_LIMITS.sweepEveryMs;
  }

  /** So much of what the heap may be is held. When that is too much, chats leave that nobody needs just now. */
  async heapHeld(share: number): Promise<void> {
    if (share <= HOST_LIMITS.heapHeld || this.#draining) return;
    this.counts.limits.add('heapHeld');
    const idle = [...this.#actors()].filter(isIdle).toSorted((a, b) => a.lastUsedMs - b.lastUsedMs);
    const leaving = idle.slice(0, Math.ceil(idle.length * HOST_LIMITS.heapRelief));
    await Promise.all(leaving.map((actor) => actor.passivate()));
  }

  /** Lets the longest unused chat at rest go; false when every chat is in use. */
  #makeRoom(): boolean {
    let oldest: ChatActor | null = null;
    for (const { actor } of this.#residents.values()) {
      if (isIdle(actor) && (oldest === null || actor.lastUsedMs < oldest.lastUsedMs)) oldest = actor;
    }
    void oldest?.passivate();
    return oldest !== null;
  }

  /** Runs the task again and again; it says after how long. */
  #repeat(firstMs: number, task: () => Promise<number>): void {
    let cancel = (): void => undefined;
    const arm = (delayMs: number): void => {
      cancel = this.#deps.clock.after(delayMs, () => {
        const again = (nextMs: number): void => {
          if (!this.#draining) arm(nextMs);
        };
        task().then(again, (error: unknown) => {
          this.#log.error('housekeeping failed', { error });
          again(firstMs);
        });
      });
    };
    arm(firstMs);
    this.#cancelTimers.push(() => cancel());
  }
}

function unavailable(): Extract<Attached, { outcome: 'refused' }> {
  return { outcome: 'refused', error: errorBody('unavailable', undefined, 1_000) };
}

function goesDown(): CommandReply {
  return refusal(errorBody('shutting_down', undefined, 1_000));
}

function isIdle(actor: ChatActor): boolean {
  return actor.atRest && actor.streamLog.followers === 0;
}

function runningLast(a: ChatActor, b: ChatActor): number {
  return Number(!a.atRest) - Number(!b.atRest);
}

function maySee(actor: ChatActor, viewer: Principal | null): boolean {
  return viewer === null || viewer.owner === actor.state.chat.owner || SEES_ALL.has(viewer.role);
}
