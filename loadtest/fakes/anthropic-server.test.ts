// The fake server is only worth something if it refuses what the real one refuses.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type FakeAnthropic, startFakeAnthropic } from './anthropic-server.ts';
import { ANTHROPIC_STATUSES } from './anthropic-statuses.ts';
import { DEFAULT_SCENARIO, type Scenario, parseDirective } from './scenario.ts';

const MAIN = path.join(import.meta.dirname, 'main.ts');

let fake: FakeAnthropic;
beforeAll(async () => {
  fake = await startFakeAnthropic();
});
afterAll(() => fake.stop());

const HEADERS = { authorization: 'Bearer k', 'anthropic-version': '2026-10-21', 'content-type': 'application/json' };
const text = (content: string, more: object = {}): object => ({ type: 'text', text: content, ...more });
const user = (content: unknown): object => ({ role: 'user', content });
const assistant = (content: unknown): object => ({ role: 'assistant', content });

const call = (id: string, more: object = {}): object => ({ type: 'tool_use', id, name: 'f', input: {}, ...more });
const result = (id: string): object => ({ type: 'tool_result', tool_use_id: id, content: 'done' });
const tool = (name: string): object => ({ name, input_schema: { type: 'object' } });

function post(body: unknown, headers: Readonly<Record<string, string>> = HEADERS): Promise<Response> {
  return fetch(`${fake.url}/v1/messages`, { method: 'POST', headers, body: JSON.stringify(body) });
}

function ask(messages: readonly unknown[], more: object = {}): Promise<Response> {
  return post({ model: 'm', max_tokens: 100, stream: true, messages, ...more });
}

async function refusal(response: Promise<Response>): Promise<string> {
  const { status, body } = await response.then(async (got) => ({ status: got.status, body: await got.text() }));
  return `${status} ${body}`;
}

type Event = { readonly type: string; readonly [key: string]: unknown };

async function events(response: Promise<Response>): Promise<readonly Event[]> {
  const body = await (await response).text();
  return [...body.matchAll(/^data: (.*)$/gmu)].map((match) => JSON.parse(match[1] ?? '') as Event);
}

/** The thinking block of an answer, as the client would send it back. */
async function thinkingOf(messages: readonly unknown[]): Promise<object> {
  const streamed = await events(ask(messages));
  const deltas = streamed.flatMap((event) => ('delta' in event ? [event['delta'] as Record<string, string>] : []));
  const thinking = deltas.map((delta) => delta['thinking'] ?? '').join('');
  const signature = deltas.find((delta) => delta['type'] === 'signature_delta')?.['signature'];
  return { type: 'thinking', thinking, signature };
}

describe('validation', () => {
  const hi = user('hi');
  test.each([
    ['no messages', [], 'at least one message'],
    ['an assistant first', [assistant('a'), hi], 'first message must use the user role'],
    ['an assistant last', [hi, assistant('a')], 'prefill is not supported'],
    ['an empty content', [user([])], 'non-empty content'],
    ['a blank text', [user([text(' \n')])], 'non-whitespace text'],
    ['an empty string', [user('')], 'non-whitespace text'],
    ['another role', [{ role: 'tool', content: 'x' }], 'user or assistant'],
    ['a block without type', [user([{ text: 'x' }])], 'type: field required'],
    [
      'thinking as the last block',
      [hi, assistant([{ type: 'thinking', thinking: 'x', signature: 'y' }]), hi],
      'final block',
    ],
    [
      'thinking without signature',
      [hi, assistant([{ type: 'thinking', thinking: 'x' }, text('a')]), hi],
      'field required',
    ],
    [
      'a forged signature',
      [hi, assistant([{ type: 'thinking', thinking: 'x', signature: 'y' }, text('a')]), hi],
      'cannot be modified',
    ],
    [
      'forged redacted thinking',
      [hi, assistant([{ type: 'redacted_thinking', data: 'y' }, text('a')]), hi],
      'cannot be modified',
    ],
    [
      'tools in the history but not in the request',
      [hi, assistant([call('t')]), user([result('t')])],
      'must define tools',
    ],
    [
      'an unanswered server call',
      [hi, assistant([{ type: 'server_tool_use', id: 't' }, text('a')]), hi],
      'without its result',
    ],
    ['five breakpoints', [user(Array.from({ length: 5 }, () => text('a', { cache_control: {} })))], 'found 5'],
    [
      'a breakpoint on thinking',
      [hi, assistant([{ type: 'thinking', cache_control: {} }, text('a')]), hi],
      'cannot be set',
    ],
  ])('[fake] %s is refused', async (_, messages, message) => {
    expect(await refusal(ask(messages))).toMatch(/^400 .*invalid_request_error/u);
    expect(await refusal(ask(messages))).toContain(message);
  });

  const TOOLS = { tools: [{ name: 'f', input_schema: { type: 'object' } }] };
  const asked = assistant([text('I look'), call('1'), call('2')]);
  test.each([
    ['an unanswered call', [hi, assistant([call('1')]), hi], 'without `tool_result` blocks immediately after: 1'],
    ['a call at the end', [hi, assistant([call('1')]), user([text('x'), result('1')])], 'immediately after: 1'],
    ['a call answered in part', [hi, asked, user([result('2'), text('x')])], 'immediately after: 1'],
    ['a result behind a text', [hi, asked, user([result('1'), text('x'), result('2')])], 'immediately after: 2'],
    ['a result too late', [hi, assistant([call('1')]), hi, assistant('a'), user([result('1')])], 'immediately after'],
    ['a call answered twice', [hi, assistant([call('1')]), user([result('1'), result('1')])], 'a single result'],
    ['a result without its call', [user([result('1')])], 'unexpected `tool_use_id`'],
    ['one id for two calls', [hi, assistant([call('1'), call('1')]), user([result('1')])], 'ids must be unique'],
    ['an id of odd characters', [hi, assistant([call('a b')]), user([result('a b')])], 'should match pattern'],
    [
      'an input that is no object',
      [hi, assistant([call('1', { input: 'x' })]), user([result('1')])],
      'valid dictionary',
    ],
    ['a call of the user', [user([text('a'), call('1')])], 'only be in `assistant`'],
    ['a result of the assistant', [hi, assistant([text('a'), result('1')]), hi], 'only be in `user`'],
  ])('[fake] %s is refused', async (_, messages, message) => {
    const refused = await refusal(ask(messages, TOOLS));
    expect(refused).toMatch(/^400 .*invalid_request_error/u);
    expect(refused).toContain(message);
  });

  test.each([
    ['in any order, a text behind them', [hi, asked, user([result('2'), result('1'), text('and now?')])]],
    ['in messages that the API joins', [hi, asked, user([result('1')]), user([result('2'), text('go on')])]],
  ])('[fake] answered calls are accepted: %s', async (_, messages) => {
    expect(await refusal(ask(messages, TOOLS))).toMatch(/^200 /u);
  });

  test.each([
    ['two of one name', { tools: [tool('f'), tool('f')] }, 'must be unique'],
    ['a name with a dot', { tools: [tool('a.b')] }, 'should match pattern'],
    ['a schema of a string', { tools: [{ name: 'f', input_schema: { type: 'string' } }] }, 'input_schema.type'],
    ['a choice without tools', { tool_choice: { type: 'none' } }, 'only be specified while providing tools'],
  ])('[fake] tools are looked at: %s is refused', async (_, more, message) => {
    expect(await refusal(ask([hi], more))).toContain(message);
  });

  test('[fake] a body that does not stream, is no JSON, has no model or no tokens is refused', async () => {
    expect(await refusal(ask([hi], { stream: false }))).toContain('only streams');
    expect(await refusal(ask([hi], { model: '' }))).toContain('model');
    expect(await refusal(ask([hi], { max_tokens: 0 }))).toContain('max_tokens');
    expect(await refusal(post('text'))).toContain('not a JSON object');
  });

  test('[fake] without a key 401, without a version 400, elsewhere 404', async () => {
    expect(await refusal(post({}, {}))).toMatch(/^401 .*authentication_error/u);
    expect(await refusal(post({}, { authorization: 'Bearer k' }))).toMatch(/^400 .*anthropic-version/u);
    expect(await refusal(fetch(`${fake.url}/v1/models`, { headers: HEADERS }))).toMatch(/^404 /u);
  });

  test('[fake] thinking that it issued is taken back after the same prefix only', async () => {
    const first = user('think. fake: thinking=2 tokens=1');
    const block = await thinkingOf([first]);
    const reply = assistant([block, text('token1 ')]);
    expect((await ask([first, reply, hi])).status).toBe(200);
    // Cache markers are no part of the prefix.
    const marked = user([text('think. fake: thinking=2 tokens=1', { cache_control: { type: 'ephemeral' } })]);
    expect((await ask([marked, reply, hi])).status).toBe(200);
    expect(await refusal(ask([user('other'), reply, hi]))).toContain('different conversation');
    expect(await refusal(ask([first, assistant([{ ...block, thinking: 'x' }, text('a')]), hi]))).toContain(
      'cannot be modified',
    );
    expect(await refusal(ask([first, reply, hi], { system: 'new' }))).toContain('different conversation');
  });
});

describe('behaviour', () => {
  test('[fake] a whole message, in order', async () => {
    const streamed = await events(ask([user('fake: tokens=2 thinking=1')]));
    expect(streamed.map((event) => event.type)).toEqual([
      'message_start',
      'ping',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
  });

  test('[fake] calls of tools, in as many steps as the directive says, then what the tools said', async () => {
    const asks = user('fake: call=f args="{\\"city\\":\\"Bern\\"}" call=g steps=2 echo=1 tokens=0');
    const step = async (messages: readonly unknown[], more: object = {}): Promise<readonly Event[]> =>
      events(ask([asks, ...messages], { tools: [tool('f'), tool('g')], ...more }));
    const first = await step([]);
    const starts = first.filter(({ type }) => type === 'content_block_start').map((start) => start['content_block']);
    expect(starts).toMatchObject([
      { type: 'tool_use', name: 'f', input: {} },
      { type: 'tool_use', name: 'g', input: {} },
    ]);
    const pieces = first.flatMap(({ index, delta }) =>
      index === 0 && delta !== undefined ? [delta as { partial_json: string }] : [],
    );
    expect(pieces.map((piece) => piece.partial_json).join('')).toBe('{"city":"Bern"}');
    expect(first.at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } });
    const round = (id: string): readonly object[] => [assistant([call(id)]), user([result(id)])];
    expect((await step(round('1'))).at(-2)).toMatchObject({ delta: { stop_reason: 'tool_use' } });
    const last = await step([...round('1'), ...round('2')]);
    expect(last.at(-2)).toMatchObject({ delta: { stop_reason: 'end_turn' } });
    expect(JSON.stringify(last)).toContain('"text":"done"');
    const none = await step(round('1'), { tool_choice: { type: 'none' } });
    expect(none.at(-2)).toMatchObject({ delta: { stop_reason: 'end_turn' } });
  });

  test('[fake] max_tokens cuts the text', async () => {
    const streamed = await events(ask([user('fake: tokens=9')], { max_tokens: 3 }));
    expect(streamed.filter((event) => event.type === 'content_block_delta')).toHaveLength(3);
    expect(streamed.at(-2)).toMatchObject({ delta: { stop_reason: 'max_tokens' } });
  });

  test('[fake] fail=529 times=2: two requests with that message fail, the third does not', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const response = await ask([user('again. fake: fail=529 times=2')]);
      await response.text();
      statuses.push(response.status);
    }
    expect(statuses).toEqual([529, 529, 200]);
  });

  test('[fake] a request that its client leaves is recorded, with when', async () => {
    const left = fake.nextAbort();
    const controller = new AbortController();
    const response = await fetch(`${fake.url}/v1/messages`, {
      method: 'POST',
      headers: HEADERS,
      signal: controller.signal,
      body: JSON.stringify({ model: 'm', max_tokens: 9, stream: true, messages: [user('fake: fail=silence@1')] }),
    });
    await response.body?.getReader().read();
    const at = Date.now();
    controller.abort();
    const { request, atMs } = await left;
    expect(atMs).toBeGreaterThanOrEqual(at);
    expect((await request.closed).how).toBe('aborted');
  });

  test('[fake] a request that the server ends is not one that its client left', async () => {
    await (await ask([user('fake: tokens=1')])).text();
    expect((await fake.requests.at(-1)?.closed)?.how).toBe('finished');
    await expect(ask([user('fake: fail=reset')])).rejects.toThrow('fetch failed');
    expect((await fake.requests.at(-1)?.closed)?.how).toBe('hung_up');
  });

  test('[fake] prefixes that were marked are read from the cache the next time', async () => {
    const usage = async (messages: readonly unknown[]): Promise<unknown> => {
      const [start] = await events(
        ask(messages, { cache_control: { type: 'ephemeral' }, system: 'a system prompt of its own '.repeat(200) }),
      );
      return (start?.['message'] as { usage: unknown } | undefined)?.usage;
    };
    const first = (await usage([user('one')])) as Record<string, number>;
    expect(first).toMatchObject({ input_tokens: 0, cache_read_input_tokens: 0 });
    const second = await usage([user('one'), assistant('two'), user('three')]);
    expect(second).toMatchObject({ input_tokens: 0, cache_read_input_tokens: first['cache_creation_input_tokens'] });
  });

  test('[fake] prefixes below the minimum are not cached, and nobody is told', async () => {
    const short = { cache_control: { type: 'ephemeral' }, model: 'short' };
    for (const messages of [[user('one')], [user('one'), assistant('two'), user('three')]]) {
      const [start] = await events(ask(messages, short));
      const message = start?.['message'] as { usage: Record<string, number> } | undefined;
      expect(message?.usage).toMatchObject({ cache_read_input_tokens: 0, cache_creation_input_tokens: 0 });
    }
  });

  test('[fake] a breakpoint looks back over 20 blocks: behind more than that a prefix is lost, and the books show it', async () => {
    const lonely = await startFakeAnthropic();
    const system = [{ type: 'text', text: 'a long system prompt '.repeat(300) }];
    const say = async (blocks: number): Promise<void> => {
      const texts = Array.from({ length: blocks }, (_, i) => text(`${i}`));
      const body = { model: 'm', max_tokens: 9, stream: true, system, messages: [user(texts)] };
      const marked = JSON.stringify({ ...body, cache_control: { type: 'ephemeral' } });
      await (await fetch(`${lonely.url}/v1/messages`, { method: 'POST', headers: HEADERS, body: marked })).text();
    };
    await say(1);
    await say(20);
    expect(lonely.cache['anthropic']).toMatchObject({ requests: 2 });
    const after20 = lonely.cache['anthropic'];
    expect(after20?.read).toBeGreaterThan(1_024);
    expect(after20?.read).toBe(after20?.readable);
    await say(60);
    const books = (await (await fetch(`${lonely.url}/_fake/cache`)).json()) as typeof lonely.cache;
    expect(books['anthropic']?.read).toBe(after20?.read);
    expect(books['anthropic']?.readable).toBeGreaterThan(after20?.readable ?? 0);
    await lonely.stop();
  });

  test('[fake] other processes can ask what came in', async () => {
    await (await ask([user('find me. fake: tokens=1')])).text();
    const requests = (await (await fetch(`${fake.url}/_fake/requests`)).json()) as readonly {
      body: unknown;
      ended: unknown;
    }[];
    expect(JSON.stringify(requests.at(-1)?.body)).toContain('find me');
    expect(requests.at(-1)?.ended).toMatchObject({ how: 'finished' });
  });

  test('[fake] it runs by itself and prints where', async () => {
    const child = spawn(process.execPath, [MAIN, '--port', '0', '--tokens', '3', '--pace-ms', '0']);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const response = await fetch(`${line.toString().trim()}/v1/messages`, {
      method: 'POST',
      headers: HEADERS,
      body: JSON.stringify({ model: 'm', max_tokens: 9, stream: true, messages: [user('hi')] }),
    });
    expect(await response.text()).toContain('token3');
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});

test('[fake] a wrong option or a taken port is one clear line', async () => {
  for (const [option, value, said] of [
    ['--port', 'x', /^fake: --port is a number/u],
    ['--tokens', '-1', /^fake: .*--tokens/u],
    ['--port', new URL(fake.url).port, /^fake: .*EADDRINUSE/u],
  ] as const) {
    const child = spawn(process.execPath, [MAIN, option, value]);
    let printed = '';
    child.stderr.on('data', (piece: Buffer) => (printed += piece.toString()));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(printed).toMatch(said);
    expect(printed.trim().split('\n').length).toBeLessThanOrEqual(3);
  }
});

describe('the directive', () => {
  const read = (message: string): Scenario => {
    const parsed = parseDirective(message, DEFAULT_SCENARIO, { statuses: ANTHROPIC_STATUSES, words: {} });
    if ('fault' in parsed) throw new Error(parsed.fault);
    return parsed.scenario;
  };

  test('[fake] every key is read', () => {
    expect(read('x fake: tokens=5 pace=7ms thinking=2 stop=refusal times=3 unknown=1 pings=1 chunks=byte')).toEqual({
      ...DEFAULT_SCENARIO,
      tokens: 5,
      paceMs: 7,
      thinking: { kind: 'signed', tokens: 2 },
      stopReason: 'refusal',
      times: 3,
      unknown: true,
      pings: true,
      chunks: 'byte',
    });
    expect(read('fake: text="a \\"b\\" c"').text).toBe('a "b" c');
    expect(read('fake: fail=429 retry-after=1500ms').failure).toMatchObject({
      status: 429,
      headers: { 'retry-after': '1.5' },
    });
    expect(read('fake: fail=silence@2 ping=100ms').failure).toEqual({ kind: 'silence', after: 2, pingMs: 100 });
    expect(read('fake: fail=cut_line@2').failure).toEqual({ kind: 'cut', after: 2, inLine: true });
    expect(read('no directive')).toEqual(DEFAULT_SCENARIO);
  });

  test.each([
    'fake: bla=1',
    'fake: tokens',
    'fake: tokens=x',
    'fake: fail=600',
    'fake: text="open',
    'fake: chunks=all',
  ])('[fake] %s cannot be read, and the request is refused', async (message) => {
    expect(await refusal(ask([user(message)]))).toMatch(/^400 .*cannot read/u);
  });
});
