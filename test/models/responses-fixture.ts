// OpenAI's adapter with the real SDK in front of a fake server of its own, for one test file.

import { openAiModel } from '../../actors/models/openai-responses.ts';
import { type FakeResponses, startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import {
  ResponseScript,
  type ResponsesContext,
  type ResponsesEvent,
  responsesStep,
} from '../../loadtest/fakes/responses-steps.ts';
import type { Plan as PlanOf } from '../../loadtest/fakes/scenario-endpoint.ts';
import { type Fixture, adapterFixture } from './adapter-fixture.ts';
import { REAL_PORTS } from './support.ts';

export const API_KEY = 'sk-proj-very-secret';

export type Plan = PlanOf<ResponsesContext>;

export function responsesFixture(): Fixture<FakeResponses, ResponsesContext> {
  return adapterFixture({
    startFake: () => startFakeResponses({ apiKey: API_KEY }),
    enqueue: ({ endpoint }, plan: Plan) => endpoint.enqueue(plan),
    clientOf: ({ baseUrl }) => openAiModel({ apiKey: API_KEY, baseUrl, ...REAL_PORTS }),
  });
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
