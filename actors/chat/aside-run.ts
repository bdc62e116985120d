// A request to a model whose answer nobody follows: a summary, a title. The answer is collected, bounded in time and in
// length, and handed over whole. It has no blocks in the log and no journal: after a crash it is asked for anew or not at all.

import { cleanText, sliceUtf8, utf8Length } from '../../protocol/text.ts';
import type { BlockType, Usage } from '../../protocol/content.ts';
import type { AttemptResult, Clock, ModelClient, ModelErrorKind, ModelRequest, StepSink } from '../ports.ts';

export type AsideEnd = {
  readonly result: AttemptResult;
  /** The text of the answer, without reasoning, cut at `bytesMax`. */
  readonly text: string;
  /** What the provider had said by then. */
  readonly usageSoFar: Usage | null;
};

export type AsideOptions = {
  readonly clock: Clock;
  /** Null: the model is not set up here any more. */
  readonly client: ModelClient | null;
  readonly timeoutMs: number;
  /** How long an aborted request may take to end. */
  readonly stopGraceMs: number;
  readonly bytesMax: number;
  /** Null: what has to be read for it could not be read. */
  readonly prepare: () => Promise<ModelRequest | null>;
  /** A bug of a store or an adapter that the request survives as a failure. */
  readonly onFault: (error: unknown) => void;
  /** Called once, never after `abandon`. */
  readonly onEnded: (end: AsideEnd) => void;
};

/** running → over: once, by the answer, the time, a stop or being abandoned. */
export class AsideRun {
  readonly #options: AsideOptions;
  readonly #controller = new AbortController();
  readonly #answer: AnswerSink;
  #timedOut = false;
  #isOver = false;
  #cancelTimer: () => void;

  constructor(options: AsideOptions) {
    this.#options = options;
    this.#answer = new AnswerSink(options.bytesMax);
    this.#cancelTimer = options.clock.after(options.timeoutMs, () => {
      this.#timedOut = true;
      this.stop();
    });
    void this.#run();
  }

  /** Ends it at once; what it has used is handed over all the same. */
  stop(): void {
    if (this.#isOver) return;
    this.#controller.abort();
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(this.#options.stopGraceMs, () => this.#finish(ABORTED));
  }

  /** As `stop`, and nobody wants to hear of it any more. */
  abandon(): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#controller.abort();
  }

  get usageSoFar(): Usage | null {
    return this.#answer.usageSoFar;
  }

  async #run(): Promise<void> {
    this.#finish(await this.#stream());
  }

  async #stream(): Promise<AttemptResult> {
    const { client, prepare, onFault } = this.#options;
    if (client === null) return failed('model_not_found', 'the model is not set up on this server');
    try {
      const request = await prepare();
      if (request === null) return failed('unavailable', 'the history could not be read');
      if (this.#controller.signal.aborted) return ABORTED;
      return await client.stream(request, this.#answer, this.#controller.signal);
    } catch (error) {
      onFault(error);
      return failed('unavailable', 'the request failed before its answer');
    }
  }

  #finish(result: AttemptResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    const judged = this.#timedOut ? { ...failed('silent', 'it took too long'), usage: result.usage } : result;
    this.#options.onEnded({ result: judged, text: this.#answer.text, usageSoFar: this.#answer.usageSoFar });
  }
}

/** Keeps the text of an answer and what it used. */
class AnswerSink implements StepSink {
  usageSoFar: Usage | null = null;
  readonly #bytesMax: number;
  readonly #types: BlockType[] = [];
  readonly #texts: string[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get text(): string {
    const texts = this.#texts.filter((_text, index) => this.#types[index] === 'text');
    return cleanText(texts.join('\n\n')).trim();
  }

  blockStart(index: number, type: BlockType): void {
    this.#types[index] = type;
    this.#texts[index] = '';
  }

  blockDelta(index: number, text: string): void {
    const left = this.#bytesMax - this.#bytes;
    if (this.#types[index] !== 'text' || left <= 0) return;
    const kept = utf8Length(text) <= left ? text : sliceUtf8(text, 0, left).text;
    this.#bytes += utf8Length(kept);
    this.#texts[index] = (this.#texts[index] ?? '') + kept;
  }

  blockEnd(): void {
    // Nothing waits for the end of a block.
  }

  usage(usage: Usage): void {
    this.usageSoFar = usage;
  }

  activity(): void {
    // The time for the whole is what bounds it.
  }

  runsInBackground(): void {
    // It is asked for without `background`.
  }
}

const ABORTED: AttemptResult = { outcome: 'aborted', provider: null, usage: null, requestId: null };

function failed(kind: ModelErrorKind, detail: string): Extract<AttemptResult, { outcome: 'failed' }> {
  const error = { kind, status: null, requestId: null, detail, retryAfterMs: null };
  return { outcome: 'failed', error, provider: null, usage: null };
}
