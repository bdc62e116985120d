// The model contract on the scripted model, and on the adapters with the real SDKs against the fake servers.

import { afterAll, beforeAll } from 'vitest';

import { anthropicModel } from '../../actors/models/anthropic.ts';
import { openAiModel } from '../../actors/models/openai-responses.ts';
import { chatCompletionsModel } from '../../actors/models/chat-completions.ts';
import { scriptedText } from '../../actors/models/script-text.ts';
import { scriptedModel } from '../../actors/models/scripted.ts';
import type { ModelClient } from '../../actors/ports.ts';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { type FakeResponses, startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import { type FakeChatCompletions, startFakeChatCompletions } from '../../loadtest/fakes/chat-completions-server.ts';
import { DIALECTS, PREFIX } from './chat-completions-fixture.ts';
import { modelContract } from './contract.ts';
import { REAL_CLOCK, REAL_PORTS } from './support.ts';

const UNICODE = 'Größe 漢字 😀 👩‍👩‍👧 🇨🇭 𝒳𝒴 cafe\u0301 مرحبا 𠮷野家 →';
const SCRIPTED_UNICODE = '/script unicode=1 deltas=60 size=1 pace=0';

modelContract('scripted', {
  client: () => scriptedModel({ clock: REAL_CLOCK, seed: 1 }),
  twelve: '/script deltas=12 pace=0',
  reasoning: '/script reasoning=3 deltas=5 pace=0',
  burst: '/script deltas=12 pace=0',
  endless: '/script deltas=5000 pace=2ms',
  silent: '/script deltas=10 pace=0 silence=1m@2',
  failing: '/script deltas=10 pace=0 fail=overloaded@4',
  unicode: SCRIPTED_UNICODE,
  unicodeText: scriptedText(SCRIPTED_UNICODE),
});

let fake: FakeAnthropic;
let client: ModelClient;
beforeAll(async () => {
  fake = await startFakeAnthropic();
  client = anthropicModel({ apiKey: 'sk-test', baseUrl: fake.url, clock: REAL_CLOCK });
});
afterAll(() => fake.stop());

modelContract('anthropic', {
  client: () => client,
  twelve: 'fake: tokens=12',
  reasoning: 'fake: thinking=3 tokens=5',
  burst: 'fake: tokens=12 chunks=joined',
  endless: 'fake: tokens=5000 pace=2ms',
  silent: 'fake: tokens=10 fail=silence@2',
  failing: 'fake: tokens=10 fail=overloaded_error@4 times=1000',
  unicode: `fake: chunks=byte text=${JSON.stringify(UNICODE)}`,
  unicodeText: UNICODE,
});

let openAi: FakeResponses;
let openAiClient: ModelClient;
beforeAll(async () => {
  openAi = await startFakeResponses();
  openAiClient = openAiModel({ apiKey: 'sk-test', baseUrl: openAi.baseUrl, ...REAL_PORTS });
});
afterAll(() => openAi.stop());

modelContract('openai responses', {
  client: () => openAiClient,
  twelve: 'fake: tokens=12',
  reasoning: 'fake: thinking=3 tokens=5',
  burst: 'fake: tokens=12 chunks=joined',
  endless: 'fake: tokens=5000 pace=2ms',
  silent: 'fake: tokens=10 fail=silence@2',
  failing: 'fake: tokens=10 fail=server_is_overloaded@4 times=1000',
  unicode: `fake: chunks=byte text=${JSON.stringify(UNICODE)}`,
  unicodeText: UNICODE,
});
let compatible: FakeChatCompletions;
beforeAll(async () => {
  compatible = await startFakeChatCompletions();
});
afterAll(() => compatible.stop());

for (const dialect of DIALECTS) {
  modelContract(`chat completions of ${dialect}`, {
    client: () => {
      const baseUrl = `${compatible.url}${PREFIX[dialect]}/v1`;
      return chatCompletionsModel({ apiKey: null, baseUrl, clock: REAL_CLOCK });
    },
    twelve: 'fake: tokens=12',
    reasoning: 'fake: thinking=3 tokens=5',
    burst: 'fake: tokens=12 chunks=joined',
    endless: 'fake: tokens=5000 pace=2ms',
    silent: 'fake: tokens=10 fail=silence@2',
    failing: 'fake: tokens=10 fail=overloaded_error@4 times=1000',
    unicode: `fake: chunks=byte text=${JSON.stringify(UNICODE)}`,
    unicodeText: UNICODE,
  });
}
