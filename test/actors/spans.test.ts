// Spans end also when what they time throws: one that never ends is never exported.

import { expect, test } from 'vitest';
import type { SpanName, Tracer } from '../../actors/tracing.ts';
import { QUIET, Stage } from './stage.ts';

test('[trace] the span of a request ends though the adapter rejects', async () => {
  const open = new Set<SpanName>();
  const ended: string[] = [];
  const tracer: Tracer = {
    begin: (name) => {
      open.add(name);
      return {
        at: null,
        end: (outcome, isFault) => {
          open.delete(name);
          ended.push(`${name} ${outcome} ${String(isFault)}`);
        },
      };
    },
  };
  const stage = new Stage(undefined, undefined, QUIET, { tracer });
  await stage.send(await stage.create(), 'hello');
  await stage.settle();
  expect([...open]).toEqual(['attempt', 'request']);
  stage.attempt.crash();
  await stage.settle();
  expect(ended).toContain('request threw true');
  expect([...open]).toEqual([]);
});
