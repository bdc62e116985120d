// Runs the fake model server by itself: `node loadtest/fakes/main.ts --port 8089`, then point a node at it with any key. The
// path of a request says which protocol it speaks.

import { parseArgs } from 'node:util';

import { anthropicProtocol } from './anthropic-server.ts';
import { chatCompletionsProtocol } from './chat-completions-server.ts';
import { FakeServer } from './fake-server.ts';
import { ResponsesEndpoint } from './responses-server.ts';
import { FAKE_HELP } from './scenario.ts';
import { ScenarioEndpoint } from './scenario-endpoint.ts';

const USAGE = `node loadtest/fakes/main.ts [--port 0] [--tokens 60] [--pace-ms 25]

A message without a directive gets --tokens, one every --pace-ms. Port 0 takes a free one; the URL is printed.
  ANTHROPIC_BASE_URL          the URL itself      OPENAI_BASE_URL   with /v1 behind it
  PARLEY_COMPATIBLE_BASE_URL  with /v1, /vllm/v1 or /ollama/v1, for chat completions as each of them speaks it
${FAKE_HELP}
`;

const OPTIONS = {
  port: { type: 'string', default: '0' },
  tokens: { type: 'string', default: '60' },
  'pace-ms': { type: 'string', default: '25' },
  help: { type: 'boolean', default: false },
} as const;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const defaults = {
    tokens: count('--tokens', values.tokens, 200_000),
    paceMs: count('--pace-ms', values['pace-ms'], 60_000),
  };
  const fake = new FakeServer([
    new ScenarioEndpoint(anthropicProtocol({ defaults })),
    new ResponsesEndpoint({ defaults }),
    new ScenarioEndpoint(chatCompletionsProtocol({ defaults })),
  ]);
  await fake.listen(count('--port', values.port, 65_535));
  process.stdout.write(`${fake.url}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fake.stop());
}

function count(option: string, value: string, max: number): number {
  if (/^\d{1,6}$/u.test(value) && Number(value) <= max) return Number(value);
  throw new Error(`${option} is a number from 0 to ${max}, not ${JSON.stringify(value)}`);
}

main().catch((error: unknown) => {
  process.stderr.write(`fake: ${error instanceof Error ? error.message : String(error)} (--help says more)\n`);
  process.exitCode = 1;
});
