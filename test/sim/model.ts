// A model provider that is played by the simulation: what it says is drawn from the seed, and kept, so that what was
// committed can be compared with what was generated.

import type {
  AttemptResult,
  Clock,
  ModelBinding,
  ModelClient,
  ModelDirectory,
  ModelErrorKind,
  ModelRequest,
  StepSink,
} from '../../actors/ports.ts';
import type { BlockType, Usage } from '../../protocol/content.ts';
import { playRun, type Run, runRef } from './background-model.ts';
import type { Ending, Generated } from './generated.ts';
import type { Faults } from './faults.ts';
import type { SimRandom } from './random.ts';

export const MODEL_ID = 'simulated';

/** What all nodes share: the provider does not die with them. */
export type Provider = {
  readonly generated: Map<string, Generated>;
  /** What it runs in the background, by its id. */
  readonly runs: Map<string, Run>;
  /** Called when one of them is taken up. */
  readonly onTakenUp: (request: ModelRequest) => void;
  /** Called with each request before it is answered. */
  readonly onRequest: (request: ModelRequest) => void;
};

export type SimModelOptions = {
  readonly clock: Clock;
  readonly random: SimRandom;
  readonly faults: Faults;
  readonly provider: Provider;
};

/** Pairs and marks that a chunk may cut in two. */
const WORDS = ['stone ', 'river ', 'Größe ', '漢字 ', '😀', '👩‍👧 ', 'cafe\u0301 ', '\n', 'lamp ', 'a '] as const;

export function simModels(options: SimModelOptions): ModelDirectory {
  const { clock, provider } = options;
  const { runs } = provider;
  const client: ModelClient = {
    stream: (request, sink, signal) => {
      const { resume } = request;
      if (resume !== null) {
        provider.onTakenUp(request);
        return playRun(resume.ref, resume, { clock, runs, sink, signal });
      }
      const reply = new Reply(options, request, sink);
      return request.background ? reply.playInBackground(signal) : reply.play(signal);
    },
    cancel: (ref) => {
      const run = runs.get(ref);
      if (run !== undefined) run.isOver = true;
    },
  };
  const binding: ModelBinding = {
    client,
    provider: 'simulation',
    providerModel: 'sim-1',
    maxOutputTokens: 1_000,
    contextWindow: null,
    compactionPercent: null,
    cost: (usage) => BigInt(usage.output_tokens),
  };
  return {
    defaultId: MODEL_ID,
    titleModelFor: () => null,
    find: (id) => (id === MODEL_ID ? binding : null),
    list: () => [{ id: MODEL_ID, default: true }],
  };
}

class Reply {
  readonly #options: SimModelOptions;
  readonly #sink: StepSink;
  readonly #generated: Generated;
  #isAborted = false;
  #wake: (() => void) | null = null;
  #chars = 0;

  constructor(options: SimModelOptions, request: ModelRequest, sink: StepSink) {
    this.#options = options;
    this.#sink = sink;
    this.#generated = { request, blocks: [], outcome: 'lost' };
    options.provider.generated.set(request.attempt, this.#generated);
    options.provider.onRequest(request);
  }

  async play(signal: AbortSignal): Promise<AttemptResult> {
    signal.addEventListener('abort', () => this.#abort(), { once: true });
    if (signal.aborted) this.#abort();
    const ending = this.#drawEnding();
    const early = ending.kind !== 'completed' && this.#options.random.chance(0.4);
    await this.#wait(this.#options.random.int(1, 60));
    const chunks = early ? [] : this.#drawChunks();
    // A failure in mid-stream leaves the rest unsaid.
    const said = ending.kind === 'completed' ? chunks : chunks.slice(0, Math.ceil(chunks.length / 2));
    await this.#stream(said, ending.kind === 'completed');
    return this.#end(ending);
  }

  /** All that it will say is settled before it says anything. */
  async playInBackground(signal: AbortSignal): Promise<AttemptResult> {
    signal.addEventListener('abort', () => this.#abort(), { once: true });
    if (signal.aborted) return this.#aborted();
    const { clock, provider, random, faults, ...rest } = this.#options;
    await this.#wait(random.int(1, 60));
    const ending = this.#drawEnding();
    const all = joinHalves(this.#drawChunks());
    const chunks = ending.kind === 'completed' ? all : all.slice(0, Math.ceil(all.length / 2));
    const paceMs = faults.strikes('modelSlow') ? 400 : random.int(0, 40);
    let atMs = clock.nowMs();
    const run = { chunks, atMs: chunks.map(() => (atMs += random.int(0, paceMs))), ending, isOver: false };
    for (const { block, type, text } of chunks) {
      const said = (this.#generated.blocks[block] ??= { type, text: '' });
      said.text += text;
    }
    const ref = runRef(this.#generated.request);
    provider.runs.set(ref, { ...run, generated: this.#generated });
    return playRun(ref, null, { ...rest, clock, runs: provider.runs, sink: this.#sink, signal });
  }

  async #stream(chunks: readonly Chunk[], isWhole: boolean): Promise<void> {
    const { random, faults } = this.#options;
    const paceMs = faults.strikes('modelSlow') ? 400 : random.int(0, 40);
    let index = -1;
    for (const chunk of chunks) {
      if (this.#isAborted) return;
      if (chunk.block !== index) {
        if (index >= 0) this.#sink.blockEnd(index);
        index = chunk.block;
        this.#generated.blocks.push({ type: chunk.type, text: '' });
        this.#sink.blockStart(index, chunk.type);
      }
      await this.#wait(random.int(0, paceMs));
      if (this.#isAborted) return;
      this.#say(index, chunk.text);
    }
    if (index >= 0 && isWhole && !this.#isAborted) this.#sink.blockEnd(index);
  }

  #say(index: number, text: string): void {
    const block = this.#generated.blocks[index];
    if (block !== undefined) block.text += text;
    this.#chars += text.length;
    this.#sink.activity();
    this.#sink.blockDelta(index, text);
    if (this.#options.random.chance(0.1)) this.#sink.usage(this.#usage(true));
  }

  async #end(ending: Ending): Promise<AttemptResult> {
    if (!this.#isAborted && ending.kind === 'silent') await this.#wait(Number.POSITIVE_INFINITY);
    if (this.#isAborted) return this.#aborted();
    this.#generated.outcome = ending.kind === 'completed' ? 'completed' : 'failed';
    if (ending.kind === 'failed') return { outcome: 'failed', error: ending.error, provider: null, usage: null };
    const stopReason = ending.kind === 'completed' ? ending.stopReason : 'end_turn';
    return { outcome: 'completed', stopReason, provider: null, usage: this.#usage(false), requestId: 'request' };
  }

  async #aborted(): Promise<AttemptResult> {
    const { faults, random, clock } = this.#options;
    this.#generated.outcome = 'aborted';
    if (faults.strikes('modelIgnoresAbort')) {
      this.#sink.blockDelta(0, 'too late');
      await new Promise<void>((resolve) => {
        clock.after(random.int(1, 3_000), resolve);
      });
      this.#sink.blockDelta(0, 'much too late');
    }
    return { outcome: 'aborted', provider: null, usage: null, requestId: null };
  }

  #drawEnding(): Ending {
    const { faults, random } = this.#options;
    if (faults.strikes('modelOverloaded')) return failed('overloaded', null);
    if (faults.strikes('modelRateLimited')) return failed('rate_limited', random.int(1, 3_000));
    if (faults.strikes('modelCut')) return failed('cut', null);
    if (faults.strikes('modelErrorMidStream')) return failed('unavailable', null);
    if (faults.strikes('modelFails')) return failed('unauthorized', null);
    if (faults.strikes('modelSilent')) return { kind: 'silent' };
    if (faults.strikes('modelRefuses')) return { kind: 'completed', stopReason: 'refusal' };
    return { kind: 'completed', stopReason: random.chance(0.05) ? 'max_tokens' : 'end_turn' };
  }

  #drawChunks(): Chunk[] {
    const { random } = this.#options;
    const chunks: Chunk[] = [];
    if (random.chance(0.2)) chunks.push(...this.#chunksOf(0, 'reasoning'));
    chunks.push(...this.#chunksOf(chunks.length === 0 ? 0 : 1, 'text'));
    return chunks;
  }

  /** A text cut at any code unit, so that pairs come in halves. */
  #chunksOf(block: number, type: BlockType): Chunk[] {
    const { random } = this.#options;
    const text = Array.from({ length: random.int(2, 40) }, () => random.pick(WORDS)).join('');
    const chunks: Chunk[] = [];
    for (let at = 0; at < text.length;) {
      const size = random.int(1, 24);
      chunks.push({ block, type, text: text.slice(at, at + size) });
      at += size;
    }
    return chunks;
  }

  #usage(estimated: boolean): Usage {
    const output_tokens = Math.ceil(this.#chars / 4);
    return { input_tokens: 1, output_tokens, cache_read_tokens: 0, cache_write_tokens: 0, estimated };
  }

  #abort(): void {
    this.#isAborted = true;
    this.#wake?.();
  }

  /** Resolves after the time, or as soon as the attempt is aborted. */
  #wait(delayMs: number): Promise<void> {
    if (this.#isAborted || delayMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = delayMs === Number.POSITIVE_INFINITY ? undefined : this.#options.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel?.();
        resolve();
      };
    });
  }
}

/** An adapter that runs in the background hands over whole code points: what it holds back is in its cursor. */
function joinHalves(chunks: readonly Chunk[]): readonly Chunk[] {
  const whole: Chunk[] = [];
  for (const chunk of chunks) {
    const last = whole.at(-1);
    if (last !== undefined && !last.text.isWellFormed())
      whole[whole.length - 1] = { ...last, text: last.text + chunk.text };
    else whole.push(chunk);
  }
  return whole;
}

type Chunk = { readonly block: number; readonly type: BlockType; readonly text: string };

function failed(kind: ModelErrorKind, retryAfterMs: number | null): Ending {
  return { kind: 'failed', error: { kind, status: null, requestId: null, detail: 'simulated', retryAfterMs } };
}
