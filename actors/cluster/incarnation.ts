// One incarnation of a node among the others: what it hears and says from its registration until it is declared dead or
// goes down. Everything here is worth nothing afterwards; the next incarnation has another id and begins with nothing.

import type { TakenChat } from '../actor-ports.ts';
import { unreachable } from '../../protocol/assert.ts';
import { decodeBody, encodeBody } from '../../protocol/codec.ts';
import { errorBody } from '../../protocol/errors.ts';
import { asMap } from '../../protocol/fields.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import { wireQueued } from '../../protocol/wire-content.ts';
import { refusal } from '../chat/command-runner.ts';
import type { NodeChatHost } from '../host/chat-host.ts';
import type { Clock, CommandReply, Log } from '../ports.ts';
import type { Bus } from './bus.ts';
import { Calls } from './calls.ts';
import type { ClusterCounts } from './counts.ts';
import type { Answer, Call, ClusterFrame } from './frames.ts';
import { InLinks } from './in-links.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import { Members } from './members.ts';
import { OutLinks } from './out-links.ts';
import { OwnerCache } from './owners.ts';
import { placeOf } from './placement.ts';
import { Post } from './post.ts';
import type { Suspension } from './suspension.ts';

export type IncarnationParts = {
  readonly self: NodeId;
  /** For people. */
  readonly name: string;
  readonly bus: Bus;
  readonly key: Uint8Array;
  readonly version: number;
  readonly host: NodeChatHost;
  readonly suspension: Suspension;
  readonly clock: Clock;
  readonly log: Log;
  readonly counts: ClusterCounts;
  readonly schedule: (task: () => void) => void;
  /** Another node has committed to the feed of this owner. */
  readonly onFed: (owner: string) => void;
  /** Another node has revoked something. */
  readonly onRevoked: () => void;
  /** Another node says that it has retired: the database should be asked. */
  readonly onLeft: () => void;
};

const NO_BODY = encodeBody(null);

export class Incarnation {
  readonly self: NodeId;
  readonly members: Members;
  readonly owners: OwnerCache;
  readonly calls: Calls;
  readonly inLinks: InLinks;
  readonly outLinks: OutLinks;
  readonly #parts: IncarnationParts;
  readonly #post: Post;
  readonly #fed = new Set<string>();
  #given: ChatId[] = [];
  #serving = 0;
  #draining = false;
  #cancelBeat: (() => void) | null = null;
  #unwatch: () => void = () => undefined;

  constructor(parts: IncarnationParts) {
    this.#parts = parts;
    const { self, bus, key, version, host, clock, log, counts, schedule } = parts;
    this.self = self;
    const receive = (from: NodeId, frame: ClusterFrame): void => this.#receive(from, frame);
    const post = new Post({ bus, self, key, version, clock, log, counts, receive });
    const owners = new OwnerCache(counts);
    const members = new Members({
      self,
      clock,
      own: () => ({ load: host.residents, draining: this.#draining }),
      onDeath: (node) => this.#died(node),
      // It must not wait a beat to learn of this one.
      onHeard: () => this.#announce(),
    });
    this.#post = post;
    this.owners = owners;
    this.members = members;
    this.calls = new Calls(post, clock, counts);
    this.outLinks = new OutLinks({ post, host, clock, log, counts, schedule, ownerOf: (chat) => this.#handedTo(chat) });
    this.inLinks = new InLinks({
      post,
      clock,
      log,
      counts,
      rings: host.counts.rings,
      owners,
      isReachable: (node) => members.isReachable(node),
      isDead: (node) => members.isDead(node),
    });
  }

  start(): void {
    this.#post.start();
    this.#unwatch = this.#parts.bus.watch((connected) => this.#busChanged(connected));
    this.#beat();
  }

  /** Its mirrors end: whoever reads from them attaches again. */
  stop(): void {
    this.#cancelBeat?.();
    this.#cancelBeat = null;
    this.#unwatch();
    this.#post.stop();
    this.calls.giveUp(null);
    this.outLinks.drop(null);
    this.inLinks.stop();
  }

  get isConnected(): boolean {
    return this.#parts.bus.connected;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  /** Nothing new is placed here any more; the others hear of it at once. */
  drain(): void {
    this.#draining = true;
    this.#announce();
  }

  /** Who should have the chat; null: nobody can be asked. */
  placeOf(chat: ChatId): NodeId | null {
    return placeOf(chat, this.members.candidates());
  }

  /** A commit here has moved the feed of this owner. */
  fed(owner: string): void {
    if (!this.isConnected) return;
    if (this.#fed.size >= CLUSTER_LIMITS.fedHints) {
      this.#parts.counts.limits.add('fedHints');
      return;
    }
    this.#fed.add(owner);
    if (this.#fed.size > 1) return;
    this.#parts.schedule(() => {
      this.#post.sendAll({ kind: 'fed', owners: [...this.#fed] });
      this.#fed.clear();
    });
  }

  revoked(): void {
    this.#post.sendAll({ kind: 'revoked' });
  }

  /** Chats were told something: whoever has them should look. */
  told(): void {
    this.#post.sendAll({ kind: 'told' });
  }

  /** The chat is free: the node that should have it takes it up before it is asked. Those of one tick go together. */
  handOver(chat: ChatId): void {
    this.#given.push(chat);
    if (this.#given.length > 1) return;
    this.#parts.schedule(() => {
      const byNode = Map.groupBy(this.#given, (given) => this.placeOf(given));
      this.#given = [];
      for (const [node, chats] of byNode) {
        if (node !== null && node !== this.self) this.#post.send(node, { kind: 'handed', chats });
      }
    });
  }

  /** The nodes that had them need not find out by themselves. */
  taken(chats: readonly TakenChat[]): void {
    for (const [node, of] of Map.groupBy(chats, ({ node }) => node))
      this.#post.send(node, { kind: 'taken', chats: of });
  }

  /** Its row is retired: the others need not wait until they look. */
  left(): void {
    this.#post.sendAll({ kind: 'left' });
  }

  #handedTo(chat: ChatId): NodeId | null {
    return this.#draining ? this.placeOf(chat) : null;
  }

  #announce(): void {
    const { name, host } = this.#parts;
    const { speaks } = this.#post;
    this.#post.sendAll({ kind: 'beat', name, speaks, load: host.residents, draining: this.#draining });
  }

  #beat(): void {
    this.#cancelBeat = this.#parts.clock.after(CLUSTER_LIMITS.beatMs, () => this.#beat());
    // A node that may be dead says nothing; its links break in time.
    if (this.#parts.suspension.isSuspended) return;
    this.#announce();
    this.outLinks.beat();
    this.inLinks.beat();
  }

  #busChanged(connected: boolean): void {
    this.outLinks.drop(null);
    this.inLinks.breakAll();
    if (connected) this.#announce();
    else this.calls.giveUp(null);
  }

  #died(node: NodeId): void {
    const { log, host } = this.#parts;
    log.info('a node is dead', { peer: node });
    this.#post.forget(node);
    this.owners.forgetNode(node);
    this.calls.giveUp(node);
    this.outLinks.drop(node);
    void host.takeUp();
    this.inLinks.died(node);
  }

  #receive(from: NodeId, frame: ClusterFrame): void {
    switch (frame.kind) {
      case 'beat':
        if (this.#post.agree(from, frame.speaks)) this.members.heard(from, frame);
        return;
      case 'fed':
        for (const owner of frame.owners) this.#parts.onFed(owner);
        return;
      case 'revoked':
        return this.#parts.onRevoked();
      case 'left':
        return this.#parts.onLeft();
      case 'told':
        void this.#parts.host.takeUp();
        return;
      case 'handed':
        for (const chat of frame.chats) void this.#parts.host.takeUpChat(chat);
        return;
      case 'taken':
        for (const { chat, epoch } of frame.chats) void this.#parts.host.fence(chat, epoch);
        return;
      case 'follow':
        void this.outLinks.follow(from, frame);
        return;
      case 'unfollow':
        return this.outLinks.unfollow(from, frame.link, frame.id);
      case 'ack':
        return this.outLinks.acknowledged(from, frame.link, frame.seq);
      case 'link':
        return this.inLinks.received(from, frame.link, frame.seq, frame.items);
      case 'call':
        void this.#serve(from, frame.request, frame.call);
        return;
      case 'answer':
        return this.calls.answered(from, frame.request, frame.answer);
      default:
        unreachable(frame);
    }
  }

  async #serve(from: NodeId, request: number, call: Call): Promise<void> {
    const { counts, log } = this.#parts;
    if (this.#serving >= CLUSTER_LIMITS.calls) {
      // Its caller asks again.
      counts.limits.add('calls');
      return;
    }
    this.#serving += 1;
    let answer: Answer;
    try {
      answer = await this.#answer(call);
    } catch (error) {
      log.error('a call of another node failed', { type: call.type, error });
      answer = replyAnswer(refusal(errorBody('internal')));
    }
    this.#serving -= 1;
    await this.#parts.suspension.passed();
    this.#post.send(from, { kind: 'answer', request, answer });
  }

  async #answer(call: Call): Promise<Answer> {
    const { host } = this.#parts;
    await host.fence(call.chat, call.epoch);
    switch (call.type) {
      case 'command': {
        const { principal, id, name, rawArgs, trace } = call;
        const args = asMap(decodeBody(rawArgs), 'call.args');
        const reply = await host.commandHere(principal, { id, name, args, rawArgs, trace });
        return 'outcome' in reply ? { type: 'elsewhere', node: reply.node } : replyAnswer(reply);
      }
      case 'queue': {
        const queue = await host.queueHere(call.viewer, call.chat);
        if (queue === null) return replyAnswer(refusal(errorBody('unavailable', undefined, 1_000)));
        if ('outcome' in queue) return { type: 'elsewhere', node: queue.node };
        return { type: 'reply', ok: true, body: encodeBody(queue.map(wireQueued)) };
      }
      case 'confirm': {
        const at = await host.confirmHere(call.viewer, call.chat);
        if (at.outcome === 'elsewhere') return { type: 'elsewhere', node: at.node };
        return at.outcome === 'top' ? { type: 'top', position: at.position } : { type: 'elsewhere', node: null };
      }
      case 'rest': {
        const rested = await host.restHere(call.chat);
        if (rested.outcome === 'elsewhere') return { type: 'elsewhere', node: rested.node };
        return { type: 'reply', ok: true, body: NO_BODY };
      }
      default:
        return unreachable(call);
    }
  }
}

function replyAnswer({ ok, body }: CommandReply): Answer {
  return { type: 'reply', ok, body };
}
