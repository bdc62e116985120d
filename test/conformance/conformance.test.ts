// A client in another language against a node: it was written from protocol/SPEC.md and the vectors, with nothing but the
// standard library of Python. Each of its scenarios is a test here, under the title that it has there.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { NodeProcess } from '../support/node-process.ts';
import { listScenarios, runClient } from './python.ts';

const SECRET = 'the secret of the conformance tests, long enough';
const SCENARIOS_MIN = 41;

const scenarios = listScenarios();
const known = typeof scenarios === 'string' ? [] : scenarios;

test('[conformance] without a Python the tests say how to get one', () => {
  const empty = mkdtempSync(join(tmpdir(), 'parley-no-python-'));
  onTestFinished(() => rmSync(empty, { recursive: true }));
  expect(listScenarios({ PATH: empty })).toMatch(/^These tests need python3, .* apt-get install python3$/);
});

test('[vectors] every vector decodes to its form, every forbidden one is refused', async () => {
  expect(await runClient('vectors')).toBeNull();
});

describe('[conformance] a node', () => {
  /** Null where there is no Python: then the first test says so, and there are no others. */
  let node: NodeProcess | null = null;

  beforeAll(async () => {
    if (known.length === 0) return;
    const env = { PARLEY_JWT_SECRET: SECRET, PARLEY_RETRY_BASE_MS: '10', PARLEY_TOKEN_GRACE_MS: '0' };
    node = await NodeProcess.start({ env });
  });

  afterAll(async () => {
    expect(node?.errorLines ?? []).toEqual([]);
    await node?.stop();
  });

  test('[conformance] there is a Python to run the client with, and the client has its scenarios', () => {
    expect(typeof scenarios === 'string' ? scenarios : 'python3 is there').toBe('python3 is there');
    expect(known.length).toBeGreaterThanOrEqual(SCENARIOS_MIN);
  });

  for (const { name, title } of known) {
    test(title, async () => {
      const url = must(node, 'there is a Python').url;
      expect(await runClient(name, { PARLEY_URL: url, PARLEY_JWT_SECRET: SECRET })).toBeNull();
    });
  }
});
