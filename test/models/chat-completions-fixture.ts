// The adapter of chat completions with the real SDK in front of a fake server of its own, for one test file.

import { chatCompletionsModel } from '../../actors/models/chat-completions.ts';
import type { Dialect } from '../../loadtest/fakes/chat-completions-prompt.ts';
import { type FakeChatCompletions, startFakeChatCompletions } from '../../loadtest/fakes/chat-completions-server.ts';
import type { ChatContext } from '../../loadtest/fakes/chat-completions-steps.ts';
import type { Plan } from '../../loadtest/fakes/scenario-endpoint.ts';
import { type Fixture, adapterFixture } from './adapter-fixture.ts';
import { REAL_CLOCK } from './support.ts';

export const API_KEY = 'sk-compatible-very-secret';

/** What comes before /v1 at the fake. */
export const PREFIX = { openai: '', vllm: '/vllm', ollama: '/ollama' } satisfies Record<Dialect, string>;

export const DIALECTS = ['openai', 'vllm', 'ollama'] as const;

export function chatCompletionsFixture(dialect: Dialect = 'openai'): Fixture<FakeChatCompletions, ChatContext> {
  return adapterFixture({
    startFake: () => startFakeChatCompletions({ apiKey: API_KEY }),
    enqueue: (fake, plan: Plan<ChatContext>) => fake.enqueue(plan),
    clientOf: ({ url }) => {
      const baseUrl = `${url}${PREFIX[dialect]}/v1`;
      return chatCompletionsModel({ apiKey: API_KEY, baseUrl, clock: REAL_CLOCK });
    },
  });
}
