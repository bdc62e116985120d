// The host as the sessions of a node among others see it: the same port, wherever the chat is. What is here is done here,
// what is elsewhere is asked of its owner, and who that is is found out on the way.
//
// The database says who owns a chat; a node that is asked and does not own it says who does, as far as it knows. Each
// search is bounded in time. Commands carry their ids, so that a second try, or another node, gives the first reply (P3).

import { decodeBody } from '../../protocol/codec.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { asArray } from '../../protocol/fields.ts';
import type { Args } from '../../protocol/frames.ts';
import type { ChatId, NodeId, OwnerId } from '../../protocol/ids.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { must } from '../../protocol/assert.ts';
import { parseError, parseQueued } from '../../protocol/wire-content.ts';
import type { QueuedMessage } from '../../protocol/content.ts';
import { refusal } from '../chat/command-runner.ts';
import { isChatCommandName, parseChatArg } from '../chat/commands.ts';
import type { Attached, ChatHost, CommandRequest, Elsewhere, Follower, QueryResult } from '../host/api.ts';
import { attachTo, SEES_ALL, type AttachSource } from '../host/attach.ts';
import type { NodeChatHost } from '../host/chat-host.ts';
import type { Rested } from '../host/family.ts';
import { runQuery } from '../host/queries.ts';
import type { ChatStore, Clock, CommandReply, ModelDirectory, Principal } from '../ports.ts';
import type { ClusterCounts } from './counts.ts';
import type { Call } from './frames.ts';
import type { Incarnation } from './incarnation.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import type { Mirror } from './mirror.ts';
import type { Suspension } from './suspension.ts';

export type RoutingParts = {
  readonly local: NodeChatHost;
  /** As of now: the node may have become another one. */
  readonly incarnation: () => Incarnation;
  readonly suspension: Suspension;
  readonly store: ChatStore;
  readonly models: ModelDirectory;
  readonly clock: Clock;
  readonly counts: ClusterCounts;
};

/** How long a mirror has to come to where its owner is, before it is taken for broken. */
const CATCH_UP_MS = 2_000;
/** How long a client may be ahead of a mirror before its owner is asked. */
const BEHIND_MS = 250;

const NOBODY: Elsewhere = { outcome: 'elsewhere', node: null };

export class RoutingHost implements ChatHost {
  readonly #parts: RoutingParts;

  constructor(parts: RoutingParts) {
    this.#parts = parts;
  }

  attach(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached> {
    const { local } = this.#parts;
    return this.#route<Attached>(
      chat,
      (target) =>
        target === null
          ? local.attachHere(viewer, chat, cursor, follower)
          : this.#attachThere(target, { viewer, chat, cursor, follower }),
      () => ({ outcome: 'refused', error: unavailable() }),
    );
  }

  async command(principal: Principal, request: CommandRequest): Promise<CommandReply> {
    const { local } = this.#parts;
    const chat = parseChatArg(request.args);
    // What is about no chat of its own is done by whoever is asked; what is no command is refused by the same.
    if (!isChatCommandName(request.name) || !chat.ok) return local.command(principal, request);
    let maybeDone = false;
    const reply = await this.#route<CommandReply>(
      chat.value,
      async (target) => {
        if (target === null) return local.commandHere(principal, request);
        const { id, name, rawArgs, trace = null } = request;
        const called = await this.#call(target, chat.value, (epoch) => {
          return { type: 'command', principal, id, name, rawArgs, trace, epoch, chat: chat.value };
        });
        if (called === 'silent') maybeDone = true;
        return called === 'silent' ? { outcome: 'elsewhere', node: target } : called;
      },
      () => refusal(maybeDone ? errorBody('unknown_outcome') : unavailable()),
    );
    // The try that was not answered may have changed something: no later one can say that nothing was.
    return maybeDone && saysNothingWasDone(reply) ? refusal(errorBody('unknown_outcome')) : reply;
  }

  query(viewer: Principal, name: string, args: Args): Promise<QueryResult> {
    const { store, models } = this.#parts;
    const queueOf = (by: Principal, chat: ChatId) => this.#queueOf(by, chat);
    return runQuery({ store, models, queueOf }, viewer, name, args);
  }

  /** Brings a chat to rest, wherever it is; false when nobody could be asked in time. */
  async rest(chat: ChatId, owner: OwnerId): Promise<boolean> {
    const viewer: Principal = { owner, role: 'member', groups: [] };
    const done = await this.#route<Rested | { readonly outcome: 'unreached' }>(
      chat,
      async (target) => {
        if (target === null) return this.#parts.local.restHere(chat);
        const called = await this.#call(target, chat, (epoch) => ({ type: 'rest', viewer, chat, epoch }));
        if (called === 'silent') return { outcome: 'elsewhere', node: target };
        return 'outcome' in called ? called : { outcome: 'rested' };
      },
      () => ({ outcome: 'unreached' }),
    );
    return done.outcome === 'rested';
  }

  #queueOf(viewer: Principal, chat: ChatId): Promise<readonly QueuedMessage[] | null> {
    const { local } = this.#parts;
    type Found = { readonly queue: readonly QueuedMessage[] | null };
    const found = this.#route<Found>(
      chat,
      async (target) => {
        if (target === null) {
          const queue = await local.queueHere(viewer, chat);
          return queue !== null && 'outcome' in queue ? queue : { queue };
        }
        const called = await this.#call(target, chat, (epoch) => ({ type: 'queue', viewer, chat, epoch }));
        if (called === 'silent') return { outcome: 'elsewhere', node: target };
        if ('outcome' in called) return called;
        return { queue: called.ok ? asArray(decodeBody(called.body), 'queue').map(parseQueued) : null };
      },
      () => ({ queue: null }),
    );
    return found.then(({ queue }) => queue);
  }

  /**
   * Does it at whoever should have the chat, then at whoever that one names, until it is done or the time is up. `act` is
   * given null for this node.
   */
  async #route<T extends object>(
    chat: ChatId,
    act: (target: NodeId | null) => Promise<T | Elsewhere>,
    giveUp: () => T,
  ): Promise<T> {
    const { clock, counts, suspension } = this.#parts;
    const deadlineMs = clock.nowMs() + CLUSTER_LIMITS.routeMs;
    let waitMs: number = CLUSTER_LIMITS.routeWaitMs;
    // Whoever was asked gave no name, no answer, or the name of this node, which has no actor of it: storage knows, or gives
    // the chat to this node.
    let asksStorage = false;
    for (;;) {
      await this.#atMost(suspension.passed(), deadlineMs - clock.nowMs());
      const target: NodeId | null = asksStorage ? null : this.#target(chat);
      const done = await act(target);
      if (!isElsewhere(done)) return done;
      const { owners, members, self } = this.#parts.incarnation();
      const named = done.node !== null && !members.isDead(done.node) ? done.node : null;
      owners.learn(chat, named);
      asksStorage = (named === null || named === self) && target !== null;
      if (clock.nowMs() >= deadlineMs) {
        counts.limits.add('routeMs');
        return giveUp();
      }
      // Somebody else was named who can be asked: at once, the first times.
      const goesOn = named !== null && named !== target && members.isReachable(named);
      if (!goesOn || waitMs > CLUSTER_LIMITS.routeWaitMs) await this.#wait(waitMs);
      waitMs = Math.min(CLUSTER_LIMITS.routeWaitCeilingMs, waitMs * 2);
    }
  }

  /** Whom to ask: who has it here, who is known to have it, else who should. Null: this node. */
  #target(chat: ChatId): NodeId | null {
    const { local } = this.#parts;
    const incarnation = this.#parts.incarnation();
    const { owners, members, inLinks, self } = incarnation;
    if (local.isResident(chat)) return null;
    const mirror = inLinks.mirrorOf(chat);
    if (mirror !== null && mirror.brokenMs === null) return mirror.peer;
    const known = owners.nodeOf(chat);
    if (known !== null && known !== self && members.isReachable(known)) return known;
    const should = incarnation.placeOf(chat);
    return should === self ? null : should;
  }

  async #attachThere(
    target: NodeId,
    asked: {
      readonly viewer: Principal;
      readonly chat: ChatId;
      readonly cursor: Position | null;
      readonly follower: Follower;
    },
  ): Promise<Attached | Elsewhere> {
    const { viewer, chat, cursor, follower } = asked;
    const { inLinks, members } = this.#parts.incarnation();
    const known = inLinks.mirrorOf(chat);
    const mirror = known ?? inLinks.follow(target, viewer, chat, cursor);
    if (mirror === null) return { outcome: 'refused', error: errorBody('unavailable', 'too many chats', 1_000) };
    // Giving up on an owner that is only busy would throw away what it is about to send, and ask it for more.
    const isSo = (): boolean => mirror.log !== null || !members.isReachable(mirror.peer);
    const opened = (await this.#until(mirror, CLUSTER_LIMITS.openMs, isSo)) && mirror.log !== null;
    const { log, end } = mirror;
    if (end !== null) {
      // What the owner said is for whom it was asked: another viewer asks for themselves.
      return known === null ? end : NOBODY;
    }
    if (!opened || log === null) {
      this.#parts.counts.limits.add('openMs');
      if (known === null) inLinks.drop(mirror);
      return NOBODY;
    }
    mirror.usedMs = this.#parts.clock.nowMs();
    if (viewer.owner !== log.view.chat.owner && !SEES_ALL.has(viewer.role)) return { outcome: 'gone' };
    const attached = await attachTo(this.#sourceOf(mirror, viewer), cursor, follower);
    return attached === 'ended' ? NOBODY : attached;
  }

  #sourceOf(mirror: Mirror, viewer: Principal): AttachSource {
    const log = must(mirror.log, 'it was there a moment ago');
    return {
      log,
      store: this.#parts.store,
      isOver: () => mirror.log !== log,
      attach: (cursor, follower) => {
        const place = cursor === null ? 'evicted' : log.place(cursor);
        if (place === 'ahead') return { outcome: 'ahead' };
        const detach = log.follow(follower);
        return { outcome: place === 'here' ? 'resumed' : 'snapshot', position: log.top, detach };
      },
      settle: (cursor) => this.#settle(mirror, viewer, cursor),
    };
  }

  /** A client is ahead of the mirror: it comes from another node, or from an epoch that this one has not heard of. */
  async #settle(mirror: Mirror, viewer: Principal, cursor: Position): Promise<void> {
    const { inLinks } = this.#parts.incarnation();
    const log = must(mirror.log, 'the cursor was compared with it');
    const reaches = (place: Position) => () => mirror.log !== log || comparePositions(log.top, place) >= 0;
    if (cursor.epoch === log.epoch && (await this.#until(mirror, BEHIND_MS, reaches(cursor)))) return;
    const { chat, peer } = mirror;
    const called = await this.#parts
      .incarnation()
      .calls.call(peer, { type: 'confirm', viewer, chat, epoch: Math.max(cursor.epoch, log.epoch) });
    if (called.type === 'top' && called.position.epoch === log.epoch) {
      // Below the cursor the owner knows no such place either; else it is on its way here.
      if (await this.#until(mirror, CATCH_UP_MS, reaches(called.position))) return;
    }
    if (mirror.log === log) inLinks.drop(mirror);
  }

  async #call(
    target: NodeId,
    chat: ChatId,
    call: (epoch: number) => Call,
  ): Promise<CommandReply | Elsewhere | 'silent'> {
    const { owners, calls } = this.#parts.incarnation();
    const called = await calls.call(target, call(owners.epochOf(chat)));
    switch (called.type) {
      case 'reply':
        owners.learn(chat, target);
        return { ok: called.ok, body: called.body };
      case 'elsewhere':
        return { outcome: 'elsewhere', node: called.node };
      case 'silent':
        return 'silent';
      case 'unsent':
      case 'top':
        return NOBODY;
    }
  }

  /** True when it is so in time. */
  async #until(mirror: Mirror, withinMs: number, isSo: () => boolean): Promise<boolean> {
    const { clock } = this.#parts;
    const deadlineMs = clock.nowMs() + withinMs;
    for (;;) {
      if (isSo()) return true;
      const leftMs = deadlineMs - clock.nowMs();
      if (leftMs <= 0 || mirror.end !== null) return false;
      await this.#atMost(mirror.changed(), Math.min(leftMs, CLUSTER_LIMITS.beatMs));
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(ms, resolve);
    });
  }

  async #atMost(task: Promise<void>, ms: number): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.clock.after(Math.max(0, ms), resolve);
    });
    await Promise.race([task, late]);
    cancel();
  }
}

function isElsewhere(value: object): value is Elsewhere {
  return 'outcome' in value && value.outcome === 'elsewhere';
}

function saysNothingWasDone({ ok, body }: CommandReply): boolean {
  return !ok && parseError(decodeBody(body)).retry === 'later';
}

function unavailable(): ErrorBody {
  return errorBody('unavailable', 'the node that has the chat cannot be reached', 1_000);
}
