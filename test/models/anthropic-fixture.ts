// Anthropic's adapter with the real SDK in front of a fake server of its own, for one test file.

import { afterAll, beforeAll } from 'vitest';

import { anthropicModel } from '../../actors/models/anthropic.ts';
import type { AttemptResult, ModelRequest } from '../../actors/ports.ts';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { type StepContext, messageEnd, messageStart } from '../../loadtest/fakes/anthropic-steps.ts';
import type { Step } from '../../loadtest/fakes/player.ts';
import type { Plan as PlanOf } from '../../loadtest/fakes/scenario-endpoint.ts';
import { NEVER_ABORTED, REAL_CLOCK, RecordingSink, modelRequest } from './support.ts';

export const API_KEY = 'sk-ant-very-secret';

type Plan = PlanOf<StepContext>;

export type Fixture = {
  readonly fake: () => FakeAnthropic;
  /** Runs an attempt to its end; the server does as the plan says, else as the prompt does. */
  readonly run: (plan: Plan | null, request?: ModelRequest) => Promise<Ran>;
  /** Begins an attempt that the caller may abort. */
  readonly begin: (plan: Plan | null, request?: ModelRequest) => Running;
};

export type Ran = { readonly result: AttemptResult; readonly sink: RecordingSink };
export type Running = {
  readonly result: Promise<AttemptResult>;
  readonly sink: RecordingSink;
  readonly abort: () => void;
};

export function anthropicFixture(): Fixture {
  let fake: FakeAnthropic | null = null;
  beforeAll(async () => {
    fake = await startFakeAnthropic({ apiKey: API_KEY });
  });
  afterAll(() => fake?.stop());
  const running = (): FakeAnthropic => {
    if (fake === null) throw new Error('the fake is not started yet');
    return fake;
  };
  const start = (plan: Plan | null, request: ModelRequest, signal: AbortSignal): Omit<Running, 'abort'> => {
    if (plan !== null) running().enqueue(plan);
    const sink = new RecordingSink();
    const client = anthropicModel({ apiKey: API_KEY, baseUrl: running().url, clock: REAL_CLOCK });
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
      return { ...start(plan, request, controller.signal), abort: () => controller.abort() };
    },
  };
}

/** A whole message around the given blocks. */
export function message(
  blocks: readonly (readonly Step[])[],
  stopReason = 'end_turn',
): (context: StepContext) => readonly Step[] {
  return (context) => [messageStart(context), ...blocks.flat(), ...messageEnd(context, stopReason, 10)];
}

/** A message that breaks off after the given blocks, without its end. */
export function broken(blocks: readonly (readonly Step[])[]): (context: StepContext) => readonly Step[] {
  return (context) => [messageStart(context), ...blocks.flat(), { do: 'end' }];
}
