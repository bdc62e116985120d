// A model provider that says what time it is: the text of each delta is when it was written, so that whoever reads it far
// behind knows how long it took. It speaks as much of the Anthropic API as its adapter needs.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { block, messageEnd, messageStart, type StepContext } from '../../../loadtest/fakes/anthropic-steps.ts';
import { serve } from '../support/child.ts';
import { nowMs, stamp } from './stamps.ts';

export type Speech = { readonly deltas: number; readonly paceMs: number };

const CONTEXT: StepContext = {
  number: 1,
  messageId: 'msg_stamped',
  model: 'stamped',
  usage: { input: 1, cacheRead: 0, cacheWrite: 0 },
  maxTokens: 100_000,
  sign: () => '',
};

serve({ listen });

async function listen(speech: Speech): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => void say(response, speech));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function say(response: ServerResponse, { deltas, paceMs }: Speech): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'stamped' });
  const [start, end] = block(0, { type: 'text', text: '', citations: null }, []);
  write(response, messageStart(CONTEXT), start);
  const startMs = nowMs();
  for (let i = 1; i <= deltas && !response.destroyed; i++) {
    // By the clock and not by the pause: a late timer is made up for.
    const waitMs = startMs + i * paceMs - nowMs();
    if (waitMs > 0) await sleep(waitMs);
    const data = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: stamp() } };
    write(response, { do: 'event', event: data.type, data });
  }
  write(response, end, ...messageEnd(CONTEXT, 'end_turn', deltas));
  response.end();
}

type Step = ReturnType<typeof messageStart>;

function write(response: ServerResponse, ...steps: readonly (Step | undefined)[]): void {
  for (const step of steps) {
    if (step?.do === 'event') response.write(`event: ${step.event}\ndata: ${JSON.stringify(step.data)}\n\n`);
  }
}
