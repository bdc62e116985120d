// The README's example, run as it stands against a node.
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
  const node = await NodeProcess.start();
  started.push(node);
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, example] = must(/```ts\n(.*?)```/s.exec(readme), 'the README has an example in TypeScript');
  const program = [
    `const token = ${JSON.stringify(node.token)};`,
    'const render = (state: { readonly messages: readonly { readonly role: string }[] }) => {',
    "  if (state.messages.some((message) => message.role === 'assistant')) client.close();",
    '};',
    must(example, 'the block has a text')
      .replace('ws://127.0.0.1:7077/v1/ws', node.url)
      .replace('./protocol/client/index.ts', join(ROOT, 'protocol/client/index.ts')),
    'await handle.until(({ lastTurn }) => lastTurn !== null).catch(() => undefined);',
    "console.log('done');",
  ].join('\n');
  const file = join(node.dataDir, 'example.mts');
  writeFileSync(file, program);
  const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(run.stderr).toBe('');
  expect(run.stdout).toBe('done\n');
});
