// The chats that one session follows, and whose turn it is to send.

import type { ChatHost } from '../actors/host/api.ts';
import type { Clock, Random } from '../actors/ports.ts';
import { type ErrorBody, errorBody } from '../protocol/errors.ts';
import type { ServerFrame } from '../protocol/frames.ts';
import type { ChatId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Position } from '../protocol/position.ts';
import { Attachment, type AttachmentOwner } from './attachment.ts';
import type { Bearer } from './authentication.ts';
import type { GatewayCounts } from './counts.ts';
import type { Owners, OwnerShare } from './shares.ts';
import { SnapshotPlaces } from './snapshot-places.ts';

/** What the attachments need from their session. */
export type AttachmentsOwner = Omit<AttachmentOwner, 'ready' | 'over' | 'places'> & {
  /** What its owner's sessions may follow together. */
  readonly owners: Owners;
  readonly share: OwnerShare;
  /** Whether the client may attach a chat now, as often as it has asked for something; else `refuse` is called. */
  admits(refuse: (error: ErrorBody) => void): boolean;
  /** There is something to fill in. */
  wake(): void;
};

export class Attachments implements AttachmentOwner {
  readonly #owner: AttachmentsOwner;
  /** At most `LIMITS.attachmentsPerSession`. */
  readonly #byChat = new Map<ChatId, Attachment>();
  /**
   * Those that have something to send, in the order in which they get their turn; each is in it once (`isReady`). An
   * array and a flag instead of a set: they are touched once per event and session.
   */
  #ready: Attachment[] = [];
  /** For those that ask the host or have a snapshot, superseded ones included that the host has not answered. */
  readonly places = new SnapshotPlaces();

  constructor(owner: AttachmentsOwner) {
    this.#owner = owner;
  }

  get size(): number {
    return this.#byChat.size;
  }

  /** Something is ready to be sent. */
  get pending(): boolean {
    return this.#ready.length > 0;
  }

  /** One that is there is replaced; its late answers are let go. */
  attach(chat: ChatId, cursor: Position | null): void {
    this.detach(chat);
    const refuse = (error: ErrorBody): void => this.#owner.control({ op: 'refused', chat, error });
    if (!this.#owner.admits(refuse)) return;
    const limit = this.#full();
    if (limit !== null) {
      this.#owner.counts.limits.add(limit);
      refuse(errorBody('too_many', undefined, 1000));
      return;
    }
    const attachment = new Attachment(chat, cursor, this);
    this.#byChat.set(chat, attachment);
    attachment.start();
  }

  more(chat: ChatId): void {
    if (this.#byChat.get(chat)?.pull() === true) return;
    // Nothing to pull: what the client takes for a snapshot under way is none. It attaches again.
    this.detach(chat);
    this.#owner.control({ op: 'refused', chat, error: errorBody('not_attached') });
  }

  detach(chat: ChatId): void {
    const attachment = this.#byChat.get(chat);
    if (attachment === undefined) return;
    this.#byChat.delete(chat);
    this.#owner.owners.unfollow(this.#owner.share);
    if (attachment.isReady) this.#ready = this.#ready.filter((other) => other !== attachment);
    attachment.stop();
  }

  /** The rights have changed: the host is asked about each chat anew. */
  reattachAll(): void {
    for (const attachment of this.#byChat.values()) attachment.reattach();
  }

  /** Adds about `bytesMax` of what is ready to `chunks`, the attachments taking turns. */
  fill(bytesMax: number, chunks: Uint8Array[]): void {
    if (bytesMax <= 0) return;
    const turn = this.#ready;
    // One that has more goes behind those that had no turn yet.
    this.#ready = [];
    let left = bytesMax;
    let turns = 0;
    for (const attachment of turn) {
      if (left <= 0) break;
      turns += 1;
      attachment.isReady = false;
      const chunk = attachment.fill(left);
      if (chunk === null) continue;
      chunks.push(chunk);
      left -= chunk.length;
    }
    if (turns < turn.length) this.#ready = [...turn.slice(turns), ...this.#ready];
  }

  /** Where the client stands, for each chat of which it was sent everything. */
  settled(): (readonly [ChatId, Position])[] {
    const positions: (readonly [ChatId, Position])[] = [];
    for (const attachment of this.#byChat.values()) {
      const position = attachment.settled();
      if (position !== null) positions.push([attachment.chat, position]);
    }
    return positions;
  }

  /** Lets all go. */
  stop(): void {
    for (const chat of this.#byChat.keys()) this.detach(chat);
  }

  // ------------------------------------------------------------------------------------------ for the attachments

  get counts(): GatewayCounts {
    return this.#owner.counts;
  }

  get host(): ChatHost {
    return this.#owner.host;
  }

  get clock(): Clock {
    return this.#owner.clock;
  }

  get random(): Random {
    return this.#owner.random;
  }

  principal(): Bearer | null {
    return this.#owner.principal();
  }

  control(frame: ServerFrame): void {
    this.#owner.control(frame);
  }

  ready(attachment: Attachment): void {
    if (attachment.isReady) return;
    attachment.isReady = true;
    this.#ready.push(attachment);
    if (this.#ready.length === 1) this.#owner.wake();
  }

  over(attachment: Attachment): void {
    if (this.#byChat.get(attachment.chat) === attachment) this.detach(attachment.chat);
  }

  crash(error: unknown): void {
    this.#owner.crash(error);
  }

  /** Counts one more chat that the owner follows; or gives the limit that keeps it out. */
  #full(): 'attachmentsPerSession' | 'attachmentsPerOwner' | null {
    if (this.#byChat.size >= LIMITS.attachmentsPerSession) return 'attachmentsPerSession';
    return this.#owner.owners.follow(this.#owner.share) ? null : 'attachmentsPerOwner';
  }
}
