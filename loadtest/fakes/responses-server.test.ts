// The fake of the Responses API is only worth something if it refuses what the real one refuses, and counts its cache as
// that one does.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { must } from '../../protocol/assert.ts';
import { type FakeResponses, startFakeResponses } from './responses-server.ts';

let fake: FakeResponses;
beforeAll(async () => {
  fake = await startFakeResponses();
});
afterAll(() => fake.stop());

const user = { role: 'user', content: 'hi' };
const call = (id: string, more: object = {}): object => {
  return { type: 'function_call', call_id: id, name: 'f', arguments: '{}', ...more };
};
const output = (id: string): object => ({ type: 'function_call_output', call_id: id, output: 'done' });
const tool = (name: string, more: object = {}): object => {
  return { type: 'function', name, parameters: { type: 'object' }, strict: false, ...more };
};

async function ask(input: unknown, more: object = {}): Promise<string> {
  const body = JSON.stringify({ model: 'm', stream: true, input, ...more });
  const headers = { authorization: 'Bearer k' };
  const response = await fetch(`${fake.baseUrl}/responses`, { method: 'POST', headers, body });
  return `${response.status} ${await response.text()}`;
}

type Event = { readonly type: string; readonly [key: string]: unknown };

function eventsOf(answer: string): readonly Event[] {
  return [...answer.matchAll(/^data: (.*)$/gmu)].map((match) => JSON.parse(match[1] ?? '') as Event);
}

describe('calls and outputs', () => {
  test.each([
    ['an unanswered call', [user, call('1'), user], 'No tool output found for function call 1'],
    ['an output without its call', [user, output('1')], 'No tool call found for function call output'],
    ['an output before its call', [user, output('1'), call('1')], 'No tool call found for function call output'],
    ['a call answered twice', [user, call('1'), output('1'), output('1')], 'Duplicate function call output'],
    ['one id for two calls', [user, call('1'), output('1'), call('1'), output('1')], 'Duplicate function call'],
    ['an id of 65 characters', [user, call('x'.repeat(65)), output('x'.repeat(65))], 'string too long'],
    ['a name with a dot', [user, call('1', { name: 'a.b' }), output('1')], 'does not match pattern'],
  ])('[fake] %s is refused', async (_, input, message) => {
    const refused = await ask(input);
    expect(refused).toMatch(/^400 .*invalid_request_error/u);
    expect(refused).toContain(message);
  });

  test('[fake] answered calls are accepted, whatever stands between them and their outputs', async () => {
    const input = [user, call('1'), call('2'), output('2'), { role: 'user', content: 'and?' }, output('1')];
    expect(await ask(input)).toMatch(/^200 /u);
  });

  test.each([
    ['a choice without tools', { tool_choice: 'auto' }, 'must be specified'],
    ['two of one name', { tools: [tool('f'), tool('f')] }, 'Duplicate tool name'],
    ['a name with a dot', { tools: [tool('a.b')] }, 'does not match pattern'],
    ['no schema', { tools: [{ type: 'function', name: 'f', strict: false }] }, 'invalid_function_parameters'],
    ['an open schema that is said to be strict', { tools: [tool('f', { strict: true })] }, 'additionalProperties'],
  ])('[fake] tools are looked at: %s is refused', async (_, more, message) => {
    expect(await ask([user], more)).toContain(message);
  });

  test('[fake] it calls tools in as many steps as the directive says', async () => {
    const asks = { role: 'user', content: 'fake: calls=2 steps=1 echo=1 tokens=0' };
    const first = eventsOf(await ask([asks], { tools: [tool('tool_1')] }));
    const done = first.flatMap(({ type, item }) => (type === 'response.output_item.done' ? [item] : []));
    expect(done).toMatchObject([
      { type: 'function_call', name: 'tool_1', status: 'completed' },
      { type: 'function_call', name: 'tool_2' },
    ]);
    const second = eventsOf(await ask([asks, call('1'), output('1')]));
    expect(second.at(-1)).toMatchObject({ type: 'response.completed', response: { output: [{ type: 'message' }] } });
    expect(JSON.stringify(second)).toContain('done');
  });
});

describe('the cache of prompts', () => {
  const LONG = { role: 'user', content: 'a long story '.repeat(400) };

  type Counted = { readonly usage: { readonly input_tokens_details: { readonly cached_tokens: number } } };

  async function cached(input: readonly unknown[], key: string | null): Promise<number> {
    const answer = eventsOf(await ask(input, key === null ? {} : { prompt_cache_key: key })).at(-1);
    expect(answer).toHaveProperty('response.usage.input_tokens_details.cached_tokens');
    const response = must(answer, 'there was one')['response'] as Counted;
    return response.usage.input_tokens_details.cached_tokens;
  }

  test('[fake] it is read by its key, in steps of 128 tokens, from 1,024 on', async () => {
    expect(await cached([LONG], 'one')).toBe(0);
    const read = await cached([LONG, { role: 'assistant', content: 'yes' }, user], 'one');
    expect(read).toBeGreaterThanOrEqual(1_024);
    expect(read % 128).toBe(0);
    expect(await cached([user], 'two')).toBe(0);
    expect(await cached([user, { role: 'assistant', content: 'yes' }, user], 'two')).toBe(0);
  });

  test('[fake] a key that changes reads nothing, and the books show what could have been read', async () => {
    const before = fake.cache['openai'];
    const story = { role: 'user', content: 'another long story '.repeat(400) };
    expect(await cached([story], null)).toBe(0);
    expect(await cached([story, user], null)).toBe(0);
    const after = fake.cache['openai'];
    expect(after?.read).toBe(before?.read);
    expect(after?.readable).toBeGreaterThan((before?.readable ?? 0) + 1_024);
  });
});
