// The responses that a fake server has taken on, and so is paid for. One in the background goes on whoever listens: its
// events are there at their time, and whoever asks gets those behind a number, past ones at once.

import { RECORDED_MAX } from './fake-server.ts';
import type { Step } from './player.ts';
import { type ResponsesContext, type ResponsesEvent, isTerminal, responsesStep } from './responses-steps.ts';

/** One line of the server's own books. */
export type PaidResponse = {
  readonly id: string;
  readonly model: string;
  readonly background: boolean;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly text: string;
  readonly cancels: number;
  /** How often it was asked for again. */
  readonly retrievals: number;
};

type Run = {
  readonly context: ResponsesContext;
  readonly events: readonly ResponsesEvent[];
  /** When each event is there, in Unix milliseconds. */
  readonly atMs: readonly number[];
  cancelledAtMs: number | null;
  /** It never ends: asked for, it is `in_progress`, whatever its stream said. */
  stuck: boolean;
  cancels: number;
  retrievals: number;
};

export class ResponseRuns {
  readonly #runs = new Map<string, Run>();

  get paid(): readonly PaidResponse[] {
    return Array.from(this.#runs.values(), ({ context, events, cancels, retrievals }) => {
      const deltas = events.filter(({ type }) => type.endsWith('.delta'));
      const text = deltas.filter(({ type }) => type === 'response.output_text.delta');
      return {
        id: context.id,
        model: context.model,
        background: context.background,
        inputTokens: context.inputTokens,
        outputTokens: deltas.length,
        text: text.map(({ delta }) => String(delta)).join(''),
        cancels,
        retrievals,
      };
    });
  }

  /** Takes a response on. Its deltas come one every `paceMs`. */
  begin(context: ResponsesContext, events: readonly ResponsesEvent[], paceMs: number): Iterable<Step> {
    const nowMs = Date.now();
    let deltas = 0;
    const atMs = events.map(({ type }) => nowMs + (type.endsWith('.delta') ? ++deltas : deltas) * paceMs);
    const run: Run = { context, events, atMs, cancelledAtMs: null, stuck: false, cancels: 0, retrievals: 0 };
    this.#runs.set(context.id, run);
    for (const oldest of this.#runs.keys()) {
      if (this.#runs.size <= RECORDED_MAX) break;
      this.#runs.delete(oldest);
    }
    // The pace of the first stream is the player's.
    return context.background ? this.stream(context.id, -1) : events.map(responsesStep);
  }

  has(id: string): boolean {
    return this.#runs.has(id);
  }

  noteRetrieval(id: string): void {
    const run = this.#runs.get(id);
    if (run !== undefined) run.retrievals += 1;
  }

  /** From now on it does not get any further, as one that was lost at the provider. */
  stick(id: string): void {
    const run = this.#runs.get(id);
    if (run !== undefined) run.stuck = true;
  }

  /** The events behind a number, those of the future at their time. */
  *stream(id: string, after: number): Generator<Step> {
    const run = this.#runs.get(id);
    for (const [number, event] of (run?.events ?? []).entries()) {
      if (number <= after) continue;
      // Cut into pieces, so that a cancellation is noticed.
      for (let waitMs = this.#waitMs(run, number); waitMs > 0; waitMs = this.#waitMs(run, number)) {
        yield { do: 'wait', ms: Math.min(waitMs, 50) };
      }
      if (run?.cancelledAtMs !== null) break;
      yield responsesStep(event);
    }
    yield { do: 'end' };
  }

  #waitMs(run: Run | undefined, number: number): number {
    return run === undefined || run.cancelledAtMs !== null ? 0 : (run.atMs[number] ?? 0) - Date.now();
  }

  /** The resource as it is now. */
  resource(id: string): unknown {
    const run = this.#runs.get(id);
    const last = run?.events.find(isTerminal);
    const first = run?.events[0];
    if (run === undefined || last === undefined) return first?.['response'];
    if (run.cancelledAtMs !== null) return { ...(first?.['response'] as object), status: 'cancelled' };
    const isOver = !run.stuck && (run.atMs.at(-1) ?? 0) <= Date.now();
    return isOver ? last['response'] : first?.['response'];
  }

  /** As often as anybody likes. */
  cancel(id: string): unknown {
    const run = this.#runs.get(id);
    if (run !== undefined) {
      run.cancels += 1;
      if ((run.atMs.at(-1) ?? 0) > Date.now()) run.cancelledAtMs ??= Date.now();
    }
    return this.resource(id);
  }
}
