// The chats that one session follows, and whose turn it is to send.

import { errorBody } from '../protocol/errors.ts';
import type { ChatId } from '../protocol/ids.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Position } from '../protocol/position.ts';
import { Attachment, type AttachmentOwner } from './attachment.ts';

/** What the attachments need from their session. */
export type AttachmentsOwner = Omit<AttachmentOwner, 'ready' | 'over'> & {
  /** There is something to fill in. */
  wake(): void;
};

export class Attachments {
  readonly #owner: AttachmentsOwner;
  readonly #attachmentOwner: AttachmentOwner;
  /** At most `LIMITS.attachmentsPerSession`. */
  readonly #byChat = new Map<ChatId, Attachment>();
  /** Those that have something to send, in the order in which they get their turn. */
  readonly #ready = new Set<Attachment>();
  /** Attaches that the client asked for and the host has not answered, superseded ones included. */
  #asking = 0;

  constructor(owner: AttachmentsOwner) {
    this.#owner = owner;
    this.#attachmentOwner = {
      ...owner,
      ready: (attachment) => {
        if (!this.#isMine(attachment)) return;
        this.#ready.add(attachment);
        owner.wake();
      },
      over: (attachment) => {
        if (this.#isMine(attachment)) this.detach(attachment.chat);
      },
    };
  }

  /** Something is ready to be sent. */
  get pending(): boolean {
    return this.#ready.size > 0;
  }

  /** One that is there is replaced; its late answers are let go. */
  attach(chat: ChatId, cursor: Position | null): void {
    this.detach(chat);
    if (this.#byChat.size >= LIMITS.attachmentsPerSession || this.#asking >= LIMITS.attachmentsPerSession) {
      this.#owner.control({ op: 'refused', chat, error: errorBody('too_many', undefined, 1000) });
      return;
    }
    const attachment = new Attachment(chat, cursor, this.#attachmentOwner);
    this.#byChat.set(chat, attachment);
    this.#asking += 1;
    void attachment.start().finally(() => {
      this.#asking -= 1;
    });
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
    this.#ready.delete(attachment);
    attachment.stop();
  }

  /** The rights have changed: the host is asked about each chat anew. */
  reattachAll(): void {
    for (const attachment of this.#byChat.values()) attachment.reattach();
  }

  /** About `bytesMax` of what is ready, the attachments taking turns. */
  fill(bytesMax: number): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    let left = bytesMax;
    // One that has more goes to the end of the set, behind those that had no turn yet.
    for (const attachment of this.#ready) {
      if (left <= 0) break;
      this.#ready.delete(attachment);
      const chunk = attachment.fill(left);
      if (chunk === null) continue;
      chunks.push(chunk);
      left -= chunk.length;
    }
    return chunks;
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

  #isMine(attachment: Attachment): boolean {
    return this.#byChat.get(attachment.chat) === attachment;
  }
}
