// A chat of another node as this gateway has it: a log of the same class as its owner's, that takes over what the owner
// appends. Sessions attach to it as to any log; the owner has one follower for all of them.
//
// States: `opening` (the owner was asked; nothing to attach to yet), `live` (a log that is, or will be again, kept up with:
// also while its link is broken and another one is being tried), `over` (the log has ended: look for the owner anew).
// Invariants: the log holds what the owner has emitted without a hole; a mirror follows by one id of one link at a time.

import { decodeServerMessage } from '../../protocol/codec.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import type { SnapshotHead, SnapshotPiece } from '../../protocol/frames.ts';
import type { ChatId, NodeId } from '../../protocol/ids.ts';
import { comparePositions } from '../../protocol/position.ts';
import { scan, SERVER_SCAN_LIMITS } from '../../protocol/scanner.ts';
import { must } from '../../protocol/assert.ts';
import type { RingBudget } from '../chat/ring-budget.ts';
import { StreamLog, type CopiedFrame } from '../chat/stream-log.ts';
import type { ClusterCounts } from './counts.ts';
import type { LinkItem } from './frames.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import type { OwnerCache } from './owners.ts';

/** What became of asking for the chat. */
export type MirrorEnd =
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'refused'; readonly error: ErrorBody }
  | { readonly outcome: 'elsewhere'; readonly node: NodeId | null };

type State =
  | { readonly kind: 'opening' }
  | { readonly kind: 'live'; readonly log: StreamLog }
  | { readonly kind: 'over'; readonly end: MirrorEnd };

/** What arrives before there is a log to attach to. */
type Opening = {
  readonly at: Extract<LinkItem, { type: 'state' }>;
  readonly ring: Uint8Array[];
  head: SnapshotHead | null;
  readonly live: Map<number, string[]>;
  /** What calls have given so far, by their place among the calls. */
  readonly calls: Map<number, string[]>;
  bytes: number;
};

export type MirrorParts = {
  readonly chat: ChatId;
  readonly peer: NodeId;
  readonly nowMs: () => number;
  readonly counts: ClusterCounts;
  readonly rings: RingBudget;
  /** The epochs that this node has seen: frames of an older one are dropped (P1). */
  readonly epochs: Pick<OwnerCache, 'epochOf' | 'saw'>;
};

export class Mirror {
  readonly chat: ChatId;
  readonly peer: NodeId;
  /** Its follow, where its link knows it; the link changes it. */
  id = 0;
  /** When it last had a reader or was asked for. */
  usedMs: number;
  /** When its link broke; null while it has one. */
  brokenMs: number | null = null;
  readonly #parts: MirrorParts;
  #state: State = { kind: 'opening' };
  #opening: Opening | null = null;
  #parted: Uint8Array[] = [];
  #partedBytes = 0;
  #waiters: (() => void)[] = [];

  constructor(parts: MirrorParts) {
    this.#parts = parts;
    this.chat = parts.chat;
    this.peer = parts.peer;
    this.usedMs = parts.nowMs();
  }

  get log(): StreamLog | null {
    return this.#state.kind === 'live' ? this.#state.log : null;
  }

  get end(): MirrorEnd | null {
    return this.#state.kind === 'over' ? this.#state.end : null;
  }

  get followers(): number {
    return this.log?.followers ?? 0;
  }

  /** Resolves at the next change that somebody may wait for: it went live, moved on, or is over. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** Its link is another one from here on: what came in parts on the old one is void. */
  rebegin(): void {
    this.#opening = null;
    this.#parted = [];
    this.#partedBytes = 0;
  }

  /** False: what came cannot be; the link is worth nothing any more. */
  take(item: LinkItem): boolean {
    switch (item.type) {
      case 'part':
        return this.#part(item.bytes);
      case 'frames':
        return this.#frames(this.#whole(item.bytes));
      case 'ring': {
        const bytes = this.#whole(item.bytes);
        this.#opening?.ring.push(bytes);
        return this.#opening !== null && this.#grow(bytes.length);
      }
      case 'piece':
        return this.#piece(this.#whole(item.bytes));
      case 'state':
        if (item.position.epoch < this.#parts.epochs.epochOf(this.chat)) {
          // Its owner does not know yet that it is none any more.
          this.finish({ outcome: 'elsewhere', node: null });
          return true;
        }
        this.#parts.epochs.saw(this.chat, item.position.epoch);
        this.#opening = { at: item, ring: [], head: null, live: new Map(), calls: new Map(), bytes: 0 };
        return true;
      case 'resumed':
        this.#parts.counts.mirrors.add('resumed');
        return this.log !== null && comparePositions(this.log.top, item.position) === 0;
      case 'gone':
        this.finish({ outcome: 'gone' });
        return true;
      case 'refused':
        this.finish({ outcome: 'refused', error: item.error });
        return true;
      case 'ended':
        this.finish({ outcome: 'elsewhere', node: item.node });
        return true;
    }
  }

  /** Ends it: whoever reads from it attaches again. */
  finish(end: MirrorEnd): void {
    const { log } = this;
    if (this.#state.kind === 'over') return;
    this.#state = { kind: 'over', end };
    this.rebegin();
    this.#parts.counts.mirrors.add('ended');
    this.#tell();
    log?.end();
  }

  #part(bytes: Uint8Array): boolean {
    this.#parted.push(bytes);
    this.#partedBytes += bytes.length;
    return this.#grow(0);
  }

  #whole(bytes: Uint8Array): Uint8Array {
    if (this.#parted.length === 0) return bytes;
    const whole = Buffer.concat([...this.#parted, bytes]);
    this.#parted = [];
    this.#partedBytes = 0;
    return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
  }

  #grow(bytes: number): boolean {
    if (this.#opening !== null) this.#opening.bytes += bytes;
    if ((this.#opening?.bytes ?? 0) + this.#partedBytes <= CLUSTER_LIMITS.openingBytes) return true;
    this.#parts.counts.limits.add('openingBytes');
    return false;
  }

  #frames(bytes: Uint8Array): boolean {
    const { log } = this;
    // Of a state that is still on its way: its owner sends them behind it.
    if (log === null) return false;
    for (const frame of copiedFrames(bytes)) {
      if (!log.take(frame)) return false;
    }
    this.#tell();
    return true;
  }

  #piece(bytes: Uint8Array): boolean {
    const opening = this.#opening;
    if (opening === null || !this.#grow(bytes.length)) return false;
    const [frame] = decodeServerMessage(bytes);
    if (frame?.op !== 'attached' || frame.outcome !== 'snapshot') return false;
    const { piece } = frame;
    opening.head ??= piece.head;
    gather(opening.live, piece.live);
    gather(opening.calls, piece.calls);
    if (piece.last) this.#complete(opening, must(opening.head, 'the first piece has the head'));
    return true;
  }

  #complete({ at, ring, live: texts, calls: given }: Opening, { chat, queue, live }: SnapshotHead): void {
    const before = this.log;
    const blocks = (live?.blocks ?? []).map((block) => {
      const text = texts.get(block.index)?.join('') ?? '';
      return { ...block, text, bytes: Buffer.byteLength(text) };
    });
    const calls = (live?.calls ?? []).map((call, place) => {
      const text = given.get(place)?.join('') ?? '';
      return { ...call, text, bytes: Buffer.byteLength(text) };
    });
    const { rings, counts } = this.#parts;
    const log = new StreamLog(
      { epoch: at.position.epoch, sealed: at.sealed, chat, queue, turn: null, calls: [], rings },
      {
        top: at.position,
        live: live === null ? null : { ...live, blocks, calls },
        floor: at.floor,
        ring: ring.flatMap((bytes) => [...copiedFrames(bytes)]),
      },
    );
    this.#opening = null;
    this.#state = { kind: 'live', log };
    counts.mirrors.add('state');
    this.#tell();
    // Those who read from the one before have their cursors.
    before?.end();
  }

  #tell(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

/** The frames of joined events, each with its own bytes. Throws a `ProtocolError` for what is none. */
function* copiedFrames(bytes: Uint8Array): Generator<CopiedFrame, void> {
  let start = 0;
  for (const end of scan(bytes, SERVER_SCAN_LIMITS).ends) {
    // A copy: the ring would keep the whole message for one frame of it.
    const frame = bytes.slice(start, end);
    start = end;
    for (const decoded of decodeServerMessage(frame)) {
      if (decoded.op === 'event') yield { position: decoded.position, span: decoded.span, event: decoded.event, frame };
      if (decoded.op === 'skipped') yield { position: decoded.position, span: decoded.span, event: null, frame };
    }
  }
}

/** Slices of a text come in their order, one behind the other. */
function gather(texts: Map<number, string[]>, slices: SnapshotPiece['live']): void {
  for (const [index, , text] of slices) {
    const known = texts.get(index);
    if (known === undefined) texts.set(index, [text]);
    else known.push(text);
  }
}
