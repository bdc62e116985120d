// OpenAI's adapter with the real SDK in front of a fake server of its own, for one test file.

import { afterAll, beforeAll } from 'vitest';

import { openAiModel } from '../../actors/models/openai-responses.ts';
import type { AttemptResult, ModelRequest } from '../../actors/ports.ts';
import { type FakeResponses, startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import {
  ResponseScript,
  type ResponsesContext,
  type ResponsesEvent,
  responsesStep,
} from '../../loadtest/fakes/responses-steps.ts';
import type { Plan as PlanOf } from '../../loadtest/fakes/scenario-endpoint.ts';
import { NEVER_ABORTED, REAL_CLOCK, RecordingSink, modelRequest } from './support.ts';

export const API_KEY = 'sk-proj-very-secret';

export type Plan = PlanOf<ResponsesContext>;

export type Fixture = {
  readonly fake: () => FakeResponses;
  /** Runs an attempt to its end; the server does as the plan says, else as the prompt does. */
  readonly run: (plan: Plan | null, request?: ModelRequest) => Promise<Ran>;
  /** Begins an attempt that the caller may abort. */
  readonly begin: (plan: Plan | null, request?: ModelRequest) => Running;
};

export type Ran = { readonly result: AttemptResult; readonly sink: RecordingSink };
export type Running = {
  readonly result: Promise<AttemptResult>;
  readonly sink: RecordingSink;
  readonly abort: (reason?: unknown) => void;
};

export function responsesFixture(): Fixture {
  let fake: FakeResponses | null = null;
  beforeAll(async () => {
    fake = await startFakeResponses({ apiKey: API_KEY });
  });
  afterAll(() => fake?.stop());
  const running = (): FakeResponses => {
    if (fake === null) throw new Error('the fake is not started yet');
    return fake;
  };
  const start = (plan: Plan | null, request: ModelRequest, signal: AbortSignal): Omit<Running, 'abort'> => {
    if (plan !== null) running().endpoint.enqueue(plan);
    const sink = new RecordingSink();
    const client = openAiModel({ apiKey: API_KEY, baseUrl: running().baseUrl, clock: REAL_CLOCK });
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

/** A response of the test's own: what `write` says, as the server would send it. */
export function scripted(write: (script: ResponseScript, context: ResponsesContext) => ResponseScript): Plan {
  return { steps: (context) => write(new ResponseScript(context), context).events.map(responsesStep) };
}

/** The same, events changed on their way: left out where `change` gives null. */
export function altered(
  write: (script: ResponseScript, context: ResponsesContext) => ResponseScript,
  change: (event: ResponsesEvent) => ResponsesEvent | null,
): Plan {
  return {
    steps: (context) =>
      write(new ResponseScript(context), context).events.flatMap((event) => {
        const changed = change(event);
        return changed === null ? [] : [responsesStep(changed)];
      }),
  };
}
