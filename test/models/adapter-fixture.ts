// An adapter with its real SDK in front of a fake server of its own, for one test file.

import { afterAll, beforeAll } from 'vitest';

import { must } from '../../protocol/assert.ts';
import type { AttemptResult, ModelClient, ModelRequest } from '../../actors/ports.ts';
import type { Plan } from '../../loadtest/fakes/scenario-endpoint.ts';
import { NEVER_ABORTED, RecordingSink, modelRequest } from './support.ts';

export type Fixture<Fake, Context> = {
  readonly fake: () => Fake;
  /** Runs an attempt to its end; the server does as the plan says, else as the prompt does. */
  readonly run: (plan: Plan<Context> | null, request?: ModelRequest) => Promise<Ran>;
  /** Begins an attempt that the caller may abort. */
  readonly begin: (plan: Plan<Context> | null, request?: ModelRequest) => Running;
};

export type FixtureParts<Fake, Context> = {
  readonly startFake: () => Promise<Fake>;
  /** What the next request gets. */
  readonly enqueue: (fake: Fake, plan: Plan<Context>) => void;
  readonly clientOf: (fake: Fake) => ModelClient;
};

export type Ran = { readonly result: AttemptResult; readonly sink: RecordingSink };
export type Running = {
  readonly result: Promise<AttemptResult>;
  readonly sink: RecordingSink;
  readonly abort: (reason?: unknown) => void;
};

export function adapterFixture<Fake extends { stop(): Promise<void> }, Context>(
  parts: FixtureParts<Fake, Context>,
): Fixture<Fake, Context> {
  let fake: Fake | null = null;
  beforeAll(async () => {
    fake = await parts.startFake();
  });
  const clients: ModelClient[] = [];
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.stop?.() ?? Promise.resolve()));
    await fake?.stop();
  });
  const running = (): Fake => must(fake, 'the fake is started before a test runs');
  const start = (plan: Plan<Context> | null, request: ModelRequest, signal: AbortSignal): Omit<Running, 'abort'> => {
    if (plan !== null) parts.enqueue(running(), plan);
    const sink = new RecordingSink();
    const client = parts.clientOf(running());
    clients.push(client);
    return { sink, result: client.stream(request, sink, signal) };
  };
  return {
    fake: running,
    run: async (plan, request = modelRequest('hello')) => {
      const { sink, result } = start(plan, request, NEVER_ABORTED());
      return { sink, result: await result };
    },
    begin: (plan, request = modelRequest('hello')) => {
      const controller = new AbortController();
      return { ...start(plan, request, controller.signal), abort: (reason) => controller.abort(reason) };
    },
  };
}
