// The README's examples, run as they stand against a node.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterAll, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { NodeProcess } from '../support/node-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const started: NodeProcess[] = [];

afterAll(async () => {
  for (const node of started) await node.stop();
});

test('[readme] the example of the client library runs as it is written', async () => {
  const node = await startNode();
  const run = runExample(node, 0, {
    before: [
      'const render = (state: { readonly messages: readonly { readonly role: string }[] }) => {',
      "  if (state.messages.some((message) => message.role === 'assistant')) client.close();",
      '};',
    ],
    after: ['await handle.until(({ lastTurn }) => lastTurn !== null).catch(() => undefined);', "console.log('done');"],
  });
  expect(run).toEqual({ stdout: 'done\n', stderr: '' });
});

test('[readme] the example of a tool of a client runs as it is written', async () => {
  const node = await startNode();
  const run = runExample(node, 1, {
    before: [],
    after: [
      'const { messages } = await handle.until(({ lastTurn }) => lastTurn !== null);',
      'client.close();',
      "console.log(JSON.stringify(messages.find(({ role }) => role === 'tool')?.parts));",
    ],
  });
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.stdout)).toMatchObject([{ type: 'tool_result', text: '73 percent', status: 'ok' }]);
});

async function startNode(): Promise<NodeProcess> {
  const node = await NodeProcess.start();
  started.push(node);
  return node;
}

/** The README's `nth` example in TypeScript, with what it takes for granted around it. */
function runExample(
  node: NodeProcess,
  nth: number,
  { before, after }: { readonly before: readonly string[]; readonly after: readonly string[] },
): { readonly stdout: string; readonly stderr: string } {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)];
  const [, example] = must(examples[nth], 'the README has that example in TypeScript');
  const program = [
    `const token = ${JSON.stringify(node.token)};`,
    ...before,
    must(example, 'the block has a text')
      .replace('ws://127.0.0.1:7077/v1/ws', node.url)
      .replace('./protocol/client/index.ts', join(ROOT, 'protocol/client/index.ts')),
    ...after,
  ].join('\n');
  const file = join(node.dataDir, 'example.mts');
  writeFileSync(file, program);
  const { stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { stdout, stderr };
}
