// Anthropic's adapter with the real SDK in front of a fake server of its own, for one test file.

import { anthropicModel } from '../../actors/models/anthropic.ts';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { type StepContext, messageEnd, messageStart } from '../../loadtest/fakes/anthropic-steps.ts';
import type { Step } from '../../loadtest/fakes/player.ts';
import type { Plan } from '../../loadtest/fakes/scenario-endpoint.ts';
import { type Fixture, adapterFixture } from './adapter-fixture.ts';
import { REAL_CLOCK } from './support.ts';

export const API_KEY = 'sk-ant-very-secret';

export function anthropicFixture(): Fixture<FakeAnthropic, StepContext> {
  return adapterFixture({
    startFake: () => startFakeAnthropic({ apiKey: API_KEY }),
    enqueue: (fake, plan: Plan<StepContext>) => fake.enqueue(plan),
    clientOf: ({ url }) => anthropicModel({ apiKey: API_KEY, baseUrl: url, clock: REAL_CLOCK }),
  });
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
