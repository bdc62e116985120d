// Group commit: intents of many chats that arrive within a moment share one transaction.
//
// Order per chat is that of the calls: a chat is in at most one batch, and in a batch with one intent. When an intent
// is refused, those of its chat that wait behind it are refused too: they build on what did not come to be.

import { assert } from '../protocol/assert.ts';
import type { ChatId } from '../protocol/ids.ts';
import type { CommitIntent, CommitResult } from '../actors/ports.ts';
import type { StoreCounts } from './counts.ts';
import type { StoreLimits } from './limits.ts';

type Waiting = {
  readonly intent: CommitIntent;
  readonly bytes: number;
  readonly settle: (result: CommitResult) => void;
  readonly fail: (error: unknown) => void;
};

/** Writes a batch; one result per intent. */
export type WriteBatch = (intents: readonly CommitIntent[]) => Promise<readonly CommitResult[]>;

export class GroupCommit {
  readonly #write: WriteBatch;
  readonly #limits: StoreLimits;
  readonly #counts: StoreCounts;
  /** Per chat in order of arrival; the chats in the order in which they may go. No entry is empty. */
  readonly #waiting = new Map<ChatId, Waiting[]>();
  /** Chats in a batch that is on its way. */
  readonly #inFlight = new Set<ChatId>();
  #intents = 0;
  #bytes = 0;
  #batches = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(write: WriteBatch, limits: StoreLimits, counts: StoreCounts) {
    this.#write = write;
    this.#limits = limits;
    this.#counts = counts;
  }

  get stats(): { readonly waitingIntents: number; readonly waitingBytes: number; readonly batches: number } {
    return { waitingIntents: this.#intents, waitingBytes: this.#bytes, batches: this.#batches };
  }

  /** Resolves with the fate of the intent; rejects for a bug of ours only. */
  commit(intent: CommitIntent): Promise<CommitResult> {
    const bytes = intentBytes(intent);
    const full = this.#intents >= this.#limits.waitingIntents || this.#bytes + bytes > this.#limits.waitingBytes;
    // One that is larger than everything allowed to wait goes through when nothing else waits.
    if (full && this.#intents > 0) {
      this.#counts.limits.add(this.#intents >= this.#limits.waitingIntents ? 'waitingIntents' : 'waitingBytes');
      this.#counts.commits.add('unavailable');
      return Promise.resolve({ outcome: 'unavailable', detail: 'too many commits wait for the database' });
    }
    return new Promise((settle, fail) => {
      const line = this.#waiting.get(intent.chat);
      const waiting = { intent, bytes, settle, fail };
      if (line === undefined) this.#waiting.set(intent.chat, [waiting]);
      else line.push(waiting);
      this.#intents += 1;
      this.#bytes += bytes;
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#batches >= this.#limits.batchesInFlight) return;
    if (this.#intents >= this.#limits.batchIntents || this.#bytes >= this.#limits.batchBytes) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#limits.batchWindowMs);
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#batches < this.#limits.batchesInFlight) {
      const batch = this.#takeBatch();
      if (batch.length === 0) return;
      this.#batches += 1;
      void this.#run(batch);
    }
  }

  /** The first intent of each chat that is not in flight, up to the limits of a batch. */
  #takeBatch(): readonly Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const [chat, line] of this.#waiting) {
      if (this.#inFlight.has(chat)) continue;
      const [first] = line;
      assert(first !== undefined, 'a line that is kept is not empty');
      if (batch.length > 0 && bytes + first.bytes > this.#limits.batchBytes) break;
      batch.push(first);
      bytes += first.bytes;
      if (batch.length >= this.#limits.batchIntents) break;
    }
    for (const waiting of batch) {
      this.#inFlight.add(waiting.intent.chat);
      this.#remove(waiting);
    }
    return batch;
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const beganMs = performance.now();
    this.#counts.batchIntents.observe(batch.length);
    try {
      const results = await this.#write(batch.map((waiting) => waiting.intent));
      batch.forEach((waiting, index) => {
        const result = results[index];
        assert(result !== undefined, 'every intent of a batch has a result');
        this.#counts.commits.add(result.outcome);
        waiting.settle(result);
        if (result.outcome !== 'committed') this.#refuseLine(waiting.intent, result);
      });
    } catch (error) {
      for (const waiting of batch) {
        waiting.fail(error);
        this.#refuseLine(waiting.intent, { outcome: 'unavailable', detail: 'the commit before it failed' });
      }
    }
    this.#counts.batchSeconds.observe((performance.now() - beganMs) / 1000);
    for (const waiting of batch) this.#inFlight.delete(waiting.intent.chat);
    this.#batches -= 1;
    if (this.#intents > 0) this.#schedule();
  }

  /** What waits behind a refused intent of the same activation was certainly not applied, and must not be. */
  #refuseLine(refused: CommitIntent, because: CommitResult): void {
    const line = this.#waiting.get(refused.chat) ?? [];
    for (const waiting of line.filter((behind) => behind.intent.epoch === refused.epoch)) {
      this.#remove(waiting);
      this.#counts.commits.add(because.outcome === 'stale' ? 'stale' : 'unavailable');
      if (because.outcome === 'stale') waiting.settle(because);
      else waiting.settle({ outcome: 'unavailable', detail: 'the commit before it was not made' });
    }
  }

  #remove(waiting: Waiting): void {
    const { chat } = waiting.intent;
    const line = (this.#waiting.get(chat) ?? []).filter((other) => other !== waiting);
    // Behind the others again: a busy chat takes turns with them.
    this.#waiting.delete(chat);
    if (line.length > 0) this.#waiting.set(chat, line);
    this.#intents -= 1;
    this.#bytes -= waiting.bytes;
  }
}

/** Roughly what the intent holds, in bytes: text counts as 1 byte per code unit, everything else of a row as 256. */
export function intentBytes(intent: CommitIntent): number {
  const rowBytes = 256;
  let bytes = rowBytes;
  for (const message of intent.messages) {
    bytes += rowBytes + textLength(message.parts) + (message.provider?.json.length ?? 0);
  }
  for (const queued of [...intent.enqueue, ...intent.enqueueFirst]) bytes += rowBytes + textLength(queued.parts);
  for (const command of intent.commands) bytes += rowBytes + command.reply.body.length;
  for (const pack of intent.journal) bytes += rowBytes + textLength(pack.entries);
  return bytes + rowBytes * (intent.attemptsOpened.length + intent.attemptsSettled.length + intent.dequeue.length);
}

function textLength(parts: readonly { readonly text: string }[]): number {
  return parts.reduce((sum, part) => sum + part.text.length, 0);
}
