// A node with a small heap, and more chats than fit into it.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { readMetric } from '../chaos/metric.ts';
import { WIDE_LIMITS } from '../chaos/node-group.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase, start, type TestServer } from '../support/postgres.ts';

/** Of what lasts; a node at rest holds about 36. */
const HEAP_MB = 64;
/** Of at least 13 KB each, with the longest of prompts: the heap was full at about 2,100. */
const CHATS = 2_500;
const AT_ONCE = 50;

const clients = new Clients();
let postgres: TestServer;
let node: NodeProcess;

beforeAll(async () => {
  postgres = await start();
  const { url } = await createDatabase(postgres.url, 'heap');
  const heap = `--max-old-space-size=${HEAP_MB}`;
  node = await NodeProcess.start({ env: { ...WIDE_LIMITS, DATABASE_URL: url, NODE_OPTIONS: heap } });
});

afterAll(async () => {
  clients.closeAll();
  await node.stop();
  await postgres.stop();
});

test('[P11] when the heap is nearly full, chats at rest leave memory before their time, and all of them answer', async () => {
  const client = await clients.connect(node.url, node.token);
  const chats: ChatId[] = [];
  const systemPrompt = 'x'.repeat(LIMITS.systemPromptChars);
  const make = async (): Promise<void> => {
    const { id } = await client.createChat({ systemPrompt });
    chats.push(id);
    // Loads it.
    await client.rename(id, 'made');
  };
  while (chats.length < CHATS) await Promise.all(Array.from({ length: AT_ONCE }, make));

  const url = /http:\/\/127\.0\.0\.1:\d+\/metrics/.exec(node.stdout)?.[0] ?? '';
  const left = await readMetric(url, 'parley_actor_ends_total', 'passivated');
  expect(await readMetric(url, 'parley_limits_hit_total', 'heapHeld')).toBeGreaterThan(0);
  expect(await readMetric(url, 'parley_actors')).toBe(CHATS - left);
  expect(left).toBeGreaterThan(0);
  for (const id of chats.slice(0, AT_ONCE)) {
    expect(await client.rename(id, 'again')).toMatchObject({ title: 'again' });
  }
}, 120_000);
