// One trace from a client's command to the request that a provider gets: through the commit, a retry, a queue and the death
// of the node; and nothing of it where no collector is set up.

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { type FakeAnthropic, startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { type ChatHandle, ParleyClient } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { type CollectedSpan, Collector } from '../support/collector.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase } from '../support/postgres.ts';

/** What the libraries would read. */
const HOSTILE = {
  OTEL_SDK_DISABLED: 'true',
  OTEL_TRACES_SAMPLER: 'always_off',
  OTEL_SERVICE_NAME: 'evil',
  OTEL_RESOURCE_ATTRIBUTES: 'evil=evil',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1/evil',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:1/evil',
  OTEL_EXPORTER_OTLP_HEADERS: 'x-evil=evil,content-type=evil',
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-evil=evil,authorization=evil',
  OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  OTEL_EXPORTER_OTLP_TIMEOUT: '1',
  OTEL_EXPORTER_OTLP_CERTIFICATE: '/evil',
  OTEL_BSP_MAX_QUEUE_SIZE: '1',
  OTEL_BSP_SCHEDULE_DELAY: '600000',
  OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '0',
  OTEL_LOG_LEVEL: 'debug',
};

let database: { url: string; drop(): Promise<void> };
let fake: FakeAnthropic;
let collector: Collector;
let node: NodeProcess;

function environment(url: string): Record<string, string> {
  return {
    DATABASE_URL: url,
    ANTHROPIC_API_KEY: 'test',
    ANTHROPIC_BASE_URL: fake.url,
    PARLEY_RETRY_BASE_MS: '20',
    ...HOSTILE,
  };
}

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `tracing_${process.pid}`);
  fake = await startFakeAnthropic({ apiKey: 'test' });
  collector = await Collector.start();
  node = await NodeProcess.start({ env: { ...environment(database.url), PARLEY_OTLP_URL: collector.url } });
});

afterAll(async () => {
  await node.stop();
  await collector.stop();
  await fake.stop();
  await database.drop();
});

/** A client that sends each command under the trace that `under` names. */
function clientOf(at: NodeProcess): { readonly client: ParleyClient; under: string | null } {
  const traced: { client: ParleyClient; under: string | null } = { client: undefined as never, under: null };
  traced.client = new ParleyClient({ url: at.url, credential: at.token, traceParent: () => traced.under });
  traced.client.connect();
  onTestFinished(() => traced.client.close());
  return traced;
}

/** A W3C traceparent of a trace that nobody has yet, sampled. */
function newTrace(): { readonly id: string; readonly parent: string; readonly span: string } {
  const id = randomBytes(16).toString('hex');
  const span = randomBytes(8).toString('hex');
  return { id, span, parent: `00-${id}-${span}-01` };
}

async function chatOf(client: ParleyClient): Promise<ChatHandle> {
  const { id } = await client.createChat({});
  const chat = client.chat(id);
  chat.attach();
  return chat;
}

function settled(chat: ChatHandle, turns: number): Promise<void> {
  let ended = 0;
  return new Promise((resolve) => {
    const stop = chat.onEvent(({ event }) => {
      if (event.kind === 'turn' && event.type === 'ended') ended += 1;
      if (ended < turns) return;
      stop();
      resolve();
    });
  });
}

/** The `traceparent` of each request to the provider whose last message has that text. */
function parentsOf(text: string): readonly string[] {
  const asked = fake.requests.filter(({ rawBody }) => lastText(rawBody) === text);
  return asked.map(({ headers }) => String(headers['traceparent']));
}

function lastText(rawBody: string): string {
  const { messages } = JSON.parse(rawBody) as { messages: { content: { text: string }[] }[] };
  return messages.at(-1)?.content.at(-1)?.text ?? '';
}

function spanOf(parent: string): string {
  return must(parent.split('-')[2], 'a traceparent has a span');
}

function childrenOf(spans: readonly CollectedSpan[], parents: readonly CollectedSpan[]): boolean {
  const ids = new Set(parents.map(({ spanId }) => spanId));
  return spans.every(({ parentSpanId }) => parentSpanId !== undefined && ids.has(parentSpanId));
}

describe('with a collector', () => {
  test('[tracing] a command, its commit, two attempts and their requests are one trace', async () => {
    const traced = clientOf(node);
    const chat = await chatOf(traced.client);
    const trace = newTrace();
    traced.under = trace.parent;
    const done = settled(chat, 1);
    await traced.client.send(chat.id, { text: 'fake: tokens=5 fail=529' });
    await done;
    const requests = await collector.collected(trace.id, 'request', 2);
    const attempts = await collector.collected(trace.id, 'attempt', 2);
    const commands = await collector.collected(trace.id, 'command', 1);
    const actors = await collector.collected(trace.id, 'actor', 1);
    expect(commands.map(({ parentSpanId }) => parentSpanId)).toEqual([trace.span]);
    expect(childrenOf(actors, commands)).toBe(true);
    expect(childrenOf(requests, attempts)).toBe(true);
    expect(childrenOf(attempts, actors)).toBe(true);
    const commits = await collector.collected(trace.id, 'commit', 3);
    expect(childrenOf(commits, actors)).toBe(true);
    const sent = parentsOf('fake: tokens=5 fail=529');
    expect(sent.map(spanOf).toSorted()).toEqual(requests.map(({ spanId }) => spanId).toSorted());
    expect(sent.every((parent) => parent.startsWith(`00-${trace.id}-`))).toBe(true);
  });

  test('[tracing] a message that waits keeps the trace of its command, also past the death of the node', async () => {
    const traced = clientOf(node);
    const chat = await chatOf(traced.client);
    const [first, second] = [newTrace(), newTrace()];
    traced.under = first.parent;
    const streaming = new Promise<void>((resolve) => {
      const stop = chat.onEvent(({ event }) => {
        if (event.kind !== 'block') return;
        stop();
        resolve();
      });
    });
    await traced.client.send(chat.id, { text: 'fake: tokens=100 pace=20ms' });
    await streaming;
    traced.under = second.parent;
    const waiting = traced.client.newCommandId();
    await traced.client.send(chat.id, { text: 'fake: tokens=3 waited' }, { id: waiting });
    traced.under = null;
    await node.kill();
    await node.restart();
    // By its state: both turns may be over before the client has come back.
    await chat.until(({ lastTurn }) => lastTurn?.turn === (waiting as string));
    const requests = await collector.collected(second.id, 'request', 1);
    expect(parentsOf('fake: tokens=3 waited').map(spanOf)).toEqual(requests.map(({ spanId }) => spanId));
    // What the dead node began goes on under the first trace.
    await collector.collected(first.id, 'request', 1);
  });

  test('[tracing] variables of the environment change nothing, and no text of a chat leaves', async () => {
    const traced = clientOf(node);
    const chat = await chatOf(traced.client);
    const trace = newTrace();
    traced.under = trace.parent;
    const done = settled(chat, 1);
    await traced.client.send(chat.id, { text: 'fake: tokens=5 my secret prompt' });
    await done;
    await collector.collected(trace.id, 'request', 1);
    for (const { path, headers, body } of collector.requests) {
      expect(path).toBe('/v1/traces');
      expect(headers['content-type']).toBe('application/json');
      expect(headers['content-encoding']).toBeUndefined();
      expect(JSON.stringify(headers)).not.toContain('evil');
      expect(body).not.toMatch(/evil|secret|fake:/);
      expect(body).toContain('"stringValue":"parley"');
    }
  });

  test('[tracing] a client that asks to be left out is, and nonsense for a trace is no fault', async () => {
    const traced = clientOf(node);
    const chat = await chatOf(traced.client);
    const trace = newTrace();
    for (const under of [trace.parent.replace(/01$/, '00'), 'nonsense', `00-${'0'.repeat(32)}-${trace.span}-01`]) {
      traced.under = under;
      const done = settled(chat, 1);
      await traced.client.send(chat.id, { text: `fake: tokens=2 ${under}` });
      await done;
      expect(parentsOf(`fake: tokens=2 ${under}`)).toHaveLength(1);
    }
    const marker = newTrace();
    traced.under = marker.parent;
    await traced.client.rename(chat.id, 'the last command');
    await collector.collected(marker.id, 'command', 1);
    expect(collector.spans.filter(({ traceId }) => traceId === trace.id)).toEqual([]);
  });

  test('[tracing] a collector that does not answer holds nobody up, and a stop is bounded', async () => {
    collector.silent = true;
    const traced = clientOf(node);
    const chat = await chatOf(traced.client);
    const done = settled(chat, 1);
    await traced.client.send(chat.id, { text: 'fake: tokens=5 unheard' });
    await done;
    const stopped = await node.terminate();
    expect(stopped.code).toBe(0);
    expect(stopped.stderr).toContain('spans were given up at the end');
  });
});

describe('without a collector', () => {
  test('[tracing] no request carries a trace, whatever the client and the environment say', async () => {
    const own = await createDatabase(inject('postgresUrl'), `tracing_off_${process.pid}`);
    const off = await NodeProcess.start({ env: environment(own.url) });
    onTestFinished(async () => {
      await off.stop();
      await own.drop();
    });
    const traced = clientOf(off);
    traced.under = newTrace().parent;
    const chat = await chatOf(traced.client);
    const done = settled(chat, 1);
    await traced.client.send(chat.id, { text: 'fake: tokens=5 untraced' });
    await done;
    expect(parentsOf('fake: tokens=5 untraced')).toEqual(['undefined']);
  });
});
