// Where a model adapter writes the blocks of one attempt. Deltas never pass through the machine: they are merged here
// within a window, wait here while a durable batch is in flight or the provider's run is not durable yet, and are noted
// here for the journal: behind being shown, or, where nothing is shown that a crash could take back, in front of it.

import { must } from '../../protocol/assert.ts';
import type { BlockType, CallName, Usage } from '../../protocol/content.ts';
import type { BlockEvent } from '../../protocol/events.ts';
import type { TurnId } from '../../protocol/ids.ts';
import { callField } from '../../protocol/parts.ts';
import { cleanText, utf8Length } from '../../protocol/text.ts';
import type { ProviderRun, ResumedRun } from '../background-run.ts';
import type { Clock, StepSink } from '../ports.ts';
import type { JournalEntry, JournalPack } from '../turn-ports.ts';
import { CHAT_LIMITS } from './settings.ts';
import type { StreamLog } from './stream-log.ts';

type Pending =
  | { readonly type: 'start'; readonly index: number; readonly block: BlockType; readonly call?: CallName }
  | { readonly type: 'delta'; readonly index: number; text: string }
  | { readonly type: 'end'; readonly index: number };

export type StepWriterOptions = {
  readonly log: StreamLog;
  readonly clock: Clock;
  readonly mergeWindowMs: number;
  readonly turn: TurnId;
  readonly step: number;
  readonly attemptNumber: number;
  /** The attempt began in an epoch before: its blocks are in the log and in the first pack already. */
  readonly resume: ResumedRun | null;
  /** Nothing is shown until `providerRefSaved`. */
  readonly onProviderRef: (ref: string) => void;
  /** The first block of the attempt began. */
  readonly onFirstBlock: () => void;
  /**
   * What was streamed is due, and waits until `takePack` gives it to whoever saves it and shows it then. Null: it is shown at
   * once, and saved now and then.
   */
  readonly onDue: (() => void) | null;
  /** The attempt streams more than `CHAT_LIMITS.stepBytes`: it must be given up. */
  readonly onOverflow: () => void;
  /** A bug while the merge window ended: nobody above would catch it. */
  readonly onFault: (error: unknown) => void;
};

/** open → closed: a closed writer ignores its adapter, so that no delta follows a stop or the end of a turn (P6). */
export class StepWriter implements StepSink {
  readonly options: StepWriterOptions;
  lastActivityMs: number;
  usageSoFar: Usage | null = null;
  #pending: Pending[] = [];
  #held = false;
  #run: ProviderRun | null = null;
  /** A crash before the run can be found again would pay twice for what was shown. */
  #awaitsRef = false;
  /** `onDue` was called, and `takePack` was not yet. */
  #isDue = false;
  #closed = false;
  #cancelTimer: (() => void) | null = null;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  /** A lone high surrogate at the end of a delta waits for its other half. */
  #carry = '';
  #blocks: { readonly type: BlockType; readonly call?: CallName; bytes: number }[];
  #journal: JournalEntry[] = [];
  #packs: number;

  constructor(options: StepWriterOptions) {
    this.options = options;
    this.lastActivityMs = options.clock.nowMs();
    const blocks = options.resume?.blocks ?? [];
    this.#blocks = blocks.map(({ type, call, text }) => ({ type, ...callField(call), bytes: utf8Length(text) }));
    this.#bytes = this.#blocks.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#packs = blocks.length === 0 ? 0 : 1;
  }

  blockStart(index: number, type: BlockType, call?: CallName): void {
    if (this.#closed) return;
    if (this.#blocks.length === 0) this.options.onFirstBlock();
    const clean = call === undefined ? undefined : { call: cleanText(call.call), name: cleanText(call.name) };
    this.#blocks[index] = { type, ...callField(clean), bytes: 0 };
    this.#add({ type: 'start', index, block: type, ...callField(clean) });
  }

  blockDelta(index: number, text: string): void {
    if (this.#closed) return;
    const whole = this.#carry + text;
    const splits = isHighSurrogate(whole.charCodeAt(whole.length - 1));
    this.#carry = splits ? whole.slice(-1) : '';
    // Providers may send what neither Postgres nor UTF-8 can hold.
    const clean = cleanText(splits ? whole.slice(0, -1) : whole);
    if (clean.length === 0) return;
    this.#bytes += utf8Length(clean);
    const last = this.#pending.at(-1);
    if (last?.type === 'delta' && last.index === index) last.text += clean;
    else this.#pending.push({ type: 'delta', index, text: clean });
    if (this.#bytes > CHAT_LIMITS.stepBytes) {
      this.close();
      this.options.onOverflow();
      return;
    }
    this.#schedule();
  }

  blockEnd(index: number): void {
    if (this.#closed) return;
    if (this.#carry !== '') {
      this.#carry = '';
      this.#add({ type: 'delta', index, text: '\uFFFD' });
    }
    this.#add({ type: 'end', index });
  }

  usage(usage: Usage): void {
    if (!this.#closed) this.usageSoFar = usage;
  }

  activity(): void {
    this.lastActivityMs = this.options.clock.nowMs();
  }

  runsInBackground(run: ProviderRun): void {
    if (this.#closed) return;
    this.#run = run;
    if (this.options.resume?.ref === run.ref) return;
    this.#awaitsRef = true;
    this.options.onProviderRef(run.ref);
  }

  /** The run can be found again by whoever comes next: what waited is shown. */
  providerRefSaved(): void {
    this.#awaitsRef = false;
    if (this.#pending.length > 0) this.#schedule();
  }

  /** From here on what is streamed waits: a durable batch has reserved the next positions. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    if (this.#pending.length > 0) this.#schedule();
  }

  /** Shows what waits, unless it has to wait on. */
  flush(): void {
    if (this.#held || this.#awaitsRef || this.options.onDue !== null) return;
    for (const event of this.#takePending()) this.options.log.append(event);
  }

  /** Ends the writer; what waits and was never shown is dropped. */
  close(): void {
    this.#closed = true;
    this.#pending = [];
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  /** What is to be saved next, and the events to show once it is; null when there is nothing. */
  takePack(): { readonly pack: JournalPack; readonly events: readonly BlockEvent[] } | null {
    this.#isDue = false;
    const { turn, step, attemptNumber, log, onDue } = this.options;
    const events = onDue === null || this.#awaitsRef ? [] : this.#takePending();
    if (this.#journal.length === 0) return null;
    const entries = this.#journal;
    this.#journal = [];
    this.#packs += 1;
    const position = { epoch: log.epoch, seq: log.top.seq + events.length };
    const pack = { turn, step, attempt: attemptNumber, pack: this.#packs, position, entries };
    // Only when nothing waits here is what came up to the cursor in this pack and those before it.
    const isExact = this.#pending.length === 0 && this.#carry === '';
    return { pack: this.#run !== null && isExact ? { ...pack, cursor: this.#run.cursor() } : pack, events };
  }

  #add(item: Pending): void {
    this.#pending.push(item);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#held || this.#awaitsRef || this.#isDue || this.#cancelTimer !== null) return;
    const { clock, mergeWindowMs } = this.options;
    const waitMs = this.#lastFlushMs + mergeWindowMs - clock.nowMs();
    if (waitMs <= 0) {
      this.#due();
      return;
    }
    this.#cancelTimer = clock.after(waitMs, () => {
      this.#cancelTimer = null;
      try {
        this.#due();
      } catch (error) {
        this.options.onFault(error);
      }
    });
  }

  #due(): void {
    const { onDue } = this.options;
    if (onDue === null) return this.flush();
    if (this.#held || this.#awaitsRef) return;
    this.#isDue = true;
    // Never in the middle of what the adapter makes of one event: the cursor of its run would not fit what is taken.
    void Promise.resolve().then(onDue);
  }

  /** The events of what waits, noted for the journal. */
  #takePending(): readonly BlockEvent[] {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#pending.length === 0) return [];
    const pending = this.#pending;
    this.#pending = [];
    this.#lastFlushMs = this.options.clock.nowMs();
    return pending.flatMap((item) => this.#eventsOf(item));
  }

  #eventsOf(item: Pending): readonly BlockEvent[] {
    const { step } = this.options;
    const { index } = item;
    const block = must(this.#blocks[index], 'a block starts before it goes on');
    const offset = block.bytes;
    if (item.type === 'start') {
      this.#note(index, { offset, text: '', ended: false });
      return [{ kind: 'block', type: 'start', step, index, block: item.block, ...callField(item.call) }];
    }
    if (item.type === 'end') {
      this.#note(index, { offset, text: '', ended: true });
      return [{ kind: 'block', type: 'end', step, index, bytes: offset }];
    }
    this.#note(index, { offset, text: item.text, ended: false });
    // What waited behind a commit, or came in one piece, can be megabytes: no event is more than a slow reader can take.
    return [...slices(item.text)].map((text) => {
      const delta: BlockEvent = { kind: 'block', type: 'delta', step, index, text, offset: block.bytes };
      block.bytes += utf8Length(text);
      return delta;
    });
  }

  #note(index: number, change: { readonly offset: number; readonly text: string; readonly ended: boolean }): void {
    const last = this.#journal.at(-1);
    if (last?.index === index && !last.ended) {
      this.#journal[this.#journal.length - 1] = { ...last, text: last.text + change.text, ended: change.ended };
      return;
    }
    const { type, call } = must(this.#blocks[index], 'a block starts before it goes on');
    this.#journal.push({ index, type, ...callField(call), ...change });
  }
}

/** The text, cut between code points. */
function* slices(text: string): Generator<string, void> {
  // A code unit is at most 3 bytes of UTF-8.
  const unitsMax = Math.floor(CHAT_LIMITS.mergedDeltaBytes / 3);
  for (let at = 0; at < text.length;) {
    const splits = isHighSurrogate(text.charCodeAt(at + unitsMax - 1));
    const slice = text.slice(at, at + unitsMax - (splits ? 1 : 0));
    yield slice;
    at += slice.length;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
