// One protocol of a fake server: it checks a request as the real API does, then plays the scenario that a test enqueued or
// that the last user message asks for.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

import type { CacheTotals } from './cache-books.ts';
import { type Endpoint, type Exchange, FakeServer, RECORDED_MAX } from './fake-server.ts';
import { type Stage, type Step, encodeEvent, hangUp, play, silence } from './player.ts';
import {
  type Chunks,
  DEFAULT_SCENARIO,
  type Failure,
  type Scenario,
  type Vocabulary,
  parseDirective,
} from './scenario.ts';

/** What is a provider's own. `Context` is what its streams are made from besides the scenario. */
export type Protocol<Context> = {
  readonly name: string;
  /** What its prompt cache read so far. */
  cache(): CacheTotals;
  speaks(path: string): boolean;
  readonly requestIdHeader: string;
  readonly vocabulary: Vocabulary;
  /** What keeps a silent stream alive. */
  readonly ping: Uint8Array;
  /** What a request without a directive gets. */
  readonly defaults: Partial<Scenario>;
  /** What the API looks at before it answers. */
  receive(received: Received): Accepted<Context> | Refusal;
  refusalBody(refusal: Refusal, requestId: string): unknown;
  /** The whole stream of a scenario, without its failure. */
  message(scenario: Scenario, context: Context): Iterable<Step>;
  /** An error within a 200, of a type that a directive or a test named. */
  errorEvent(type: string, context: Context): Iterable<Step>;
};

export type Received = {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
};

export type Accepted<Context> = { readonly context: Context; readonly conversation: Conversation };

/** Where in the conversation a request is. */
export type Conversation = {
  /** Of the last message that says something. */
  readonly lastUserText: string;
  /** Results of tools that came since, one list per step. */
  readonly results: readonly (readonly string[])[];
  /** The request lets the model call tools. */
  readonly mayCall: boolean;
};

export type Refusal = {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly code?: string | number | null;
  readonly headers?: Readonly<Record<string, string>>;
};

/** What one request gets: parts of a scenario, or a list of steps (made for the request) to be played as they are. */
export type Plan<Context> =
  | Partial<Scenario>
  | { readonly steps: (context: Context) => Iterable<Step>; readonly chunks?: Chunks }
  /** A response that is no stream. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string };

/** What a model of a test's own does with a request, by all that is in it; null: what its directive says. */
export type Script = (body: unknown, conversation: Conversation) => Partial<Scenario> | null;

export class ScenarioEndpoint<Context> implements Endpoint {
  readonly #script: Script;
  readonly #protocol: Protocol<Context>;
  readonly #defaults: Scenario;
  readonly #queue: Plan<Context>[] = [];
  /** Requests so far by their step and their last user message: `times` counts them. */
  readonly #seen = new Map<string, number>();

  constructor(protocol: Protocol<Context>, script: Script = () => null) {
    this.#protocol = protocol;
    this.#script = script;
    this.#defaults = { ...DEFAULT_SCENARIO, ...protocol.defaults };
  }

  speaks(path: string): boolean {
    return this.#protocol.speaks(path);
  }

  get cacheTotals(): readonly [protocol: string, totals: CacheTotals] {
    return [this.#protocol.name, this.#protocol.cache()];
  }

  enqueue(...plans: readonly Plan<Context>[]): void {
    this.#queue.push(...plans);
  }

  async answer(exchange: Exchange): Promise<void> {
    const { number, path, request, response, body } = exchange;
    const id = `req_fake_${String(number).padStart(6, '0')}`;
    response.setHeader(this.#protocol.requestIdHeader, id);
    const { method = 'GET', headers } = request;
    const received = this.#protocol.receive({ number, method, path, headers, body });
    if (!('context' in received)) {
      this.#refuse(response, received, id);
      return;
    }
    const plan = this.#queue.shift() ?? this.#script(body, received.conversation) ?? undefined;
    if (plan !== undefined && 'steps' in plan) {
      await this.#stream(plan.steps(received.context), plan.chunks ?? 'event', exchange);
    } else if (plan !== undefined && 'body' in plan) {
      response.writeHead(plan.status, { 'content-type': 'application/json', ...plan.headers }).end(plan.body);
    } else {
      await this.#act(plan ?? null, { ...exchange, ...received, id });
    }
  }

  async #act(
    plan: Partial<Scenario> | null,
    exchange: Exchange & Accepted<Context> & { readonly id: string },
  ): Promise<void> {
    const { conversation, context, response, id } = exchange;
    const { lastUserText: text, results } = conversation;
    const { vocabulary } = this.#protocol;
    const parsed =
      plan === null ? parseDirective(text, this.#defaults, vocabulary) : { scenario: { ...this.#defaults, ...plan } };
    if ('fault' in parsed) {
      this.#refuse(response, { status: 400, type: 'invalid_request_error', message: parsed.fault }, id);
      return;
    }
    const scenario = inStep(parsed.scenario, conversation, plan !== null);
    const isFailing = scenario.failStep === null || scenario.failStep === results.length;
    const fails = plan !== null || (isFailing && this.#countSeen(`${results.length} ${text}`) <= scenario.times);
    const failure = fails ? scenario.failure : null;
    if (failure !== null && (await this.#failBefore(failure, exchange))) return;
    const steps = this.#protocol.message(scenario, context);
    await this.#stream(this.#perform(steps, { scenario, failure, context }), scenario.chunks, exchange);
  }

  /** Failures that come before the stream; false when this one comes later. */
  async #failBefore(failure: Failure, exchange: Exchange & { readonly id: string }): Promise<boolean> {
    const { response, gone, id } = exchange;
    if (failure.kind === 'status') {
      this.#refuse(response, failure, id);
      return true;
    }
    if (failure.kind === 'reset' && failure.after === null) {
      hangUp(response, 'RST');
      return true;
    }
    if (failure.kind === 'silence' && failure.after === null) {
      await silence(null, { response, gone, ping: this.#protocol.ping });
      return true;
    }
    return false;
  }

  /** The steps at the scenario's pace, up to the place of its failure. */
  *#perform(steps: Iterable<Step>, performance: Performance<Context>): Generator<Step> {
    const { scenario, failure, context } = performance;
    let deltas = 0;
    for (const step of steps) {
      const at = step.do === 'event' ? step.at : undefined;
      if (at !== undefined && failure !== null && 'after' in failure && failure.after === deltas) {
        yield* this.#fail(failure, step, context);
        return;
      }
      if (at === 'delta' && scenario.paceMs > 0) yield { do: 'wait', ms: scenario.paceMs };
      if (at === 'delta' && scenario.pings) yield { do: 'bytes', bytes: this.#protocol.ping };
      yield step;
      if (at === 'delta') deltas += 1;
    }
  }

  *#fail(failure: Failure, next: Step, context: Context): Generator<Step> {
    switch (failure.kind) {
      case 'event':
        yield* this.#protocol.errorEvent(failure.type, context);
        yield { do: 'end' };
        return;
      case 'cut':
        if (failure.inLine && next.do === 'event') {
          const bytes = encodeEvent(next.event, next.data);
          yield { do: 'bytes', bytes: bytes.subarray(0, bytes.length >> 1) };
        }
        yield { do: 'end' };
        return;
      case 'close':
        yield { do: 'close' };
        return;
      case 'reset':
        yield { do: 'reset' };
        return;
      case 'silence':
        yield { do: 'silence', pingMs: failure.pingMs };
        return;
      case 'status':
        return;
    }
  }

  async #stream(steps: Iterable<Step>, chunks: Chunks, { response, gone }: Exchange): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    response.flushHeaders();
    const stage: Stage = { response, chunks, gone, ping: this.#protocol.ping };
    await play(steps, stage);
  }

  #refuse(response: ServerResponse, refusal: Refusal, id: string): void {
    for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value);
    const body = JSON.stringify(this.#protocol.refusalBody(refusal, id));
    response.writeHead(refusal.status, { 'content-type': 'application/json' }).end(body);
  }

  #countSeen(text: string): number {
    const count = (this.#seen.get(text) ?? 0) + 1;
    this.#seen.delete(text);
    this.#seen.set(text, count);
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= RECORDED_MAX) break;
      this.#seen.delete(oldest);
    }
    return count;
  }
}

/** What a scenario of a whole turn comes to in one of its steps. */
function inStep(scenario: Scenario, { results, mayCall }: Conversation, isForced: boolean): Scenario {
  const calls = mayCall && (isForced || results.length < scenario.callSteps) ? scenario.calls : [];
  const last = results.at(-1);
  if (!scenario.echo || last === undefined || calls.length > 0) return { ...scenario, calls };
  return { ...scenario, calls, text: last.join('\n') };
}

type Performance<Context> = {
  readonly scenario: Scenario;
  readonly failure: Failure | null;
  readonly context: Context;
};

/** A server that speaks one protocol, for tests. */
export class FakeProvider<Context> extends FakeServer {
  readonly #endpoint: ScenarioEndpoint<Context>;

  constructor(protocol: Protocol<Context>, script?: Script) {
    const endpoint = new ScenarioEndpoint(protocol, script);
    super([endpoint]);
    this.#endpoint = endpoint;
  }

  /** The next requests get these, one each; what comes after them gets the default or what its directive says. */
  enqueue(...plans: readonly Plan<Context>[]): void {
    this.#endpoint.enqueue(...plans);
  }
}
