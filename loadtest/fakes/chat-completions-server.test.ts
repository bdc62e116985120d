// The fake of chat completions is only worth something if it refuses what real servers refuse.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type FakeChatCompletions, startFakeChatCompletions } from './chat-completions-server.ts';

let fake: FakeChatCompletions;
beforeAll(async () => {
  fake = await startFakeChatCompletions();
});
afterAll(() => fake.stop());

const system = { role: 'system', content: 'be brief' };
const user = { role: 'user', content: 'hi' };
const assistant = { role: 'assistant', content: 'hello' };
const call = (id: string, args = '{}'): object => ({ id, type: 'function', function: { name: 'f', arguments: args } });
const calls = (...made: readonly object[]): object => ({ role: 'assistant', content: null, tool_calls: made });
const result = (id: string): object => ({ role: 'tool', tool_call_id: id, content: 'done' });

async function ask(messages: readonly unknown[], more: object = {}, prefix = ''): Promise<string> {
  const body = JSON.stringify({ model: 'm', stream: true, messages, ...more });
  const response = await fetch(`${fake.url}${prefix}/v1/chat/completions`, { method: 'POST', body });
  return `${response.status} ${await response.text()}`;
}

async function chunks(directive: string, prefix: string): Promise<readonly unknown[]> {
  const options = { stream_options: { include_usage: true } };
  const body = await ask([{ role: 'user', content: `fake: ${directive}` }], options, prefix);
  return [...body.slice('200 '.length).matchAll(/^data: (\{.*)$/gmu)].map(([, json]): unknown =>
    JSON.parse(json ?? ''),
  );
}

describe('validation', () => {
  test.each([
    ['no messages', [], "[] is too short - 'messages'"],
    ['another role', [{ role: 'developer2', content: 'x' }], 'is not one of'],
    ['an empty content', [{ role: 'user', content: '' }], 'visible character'],
    ['a blank content', [user, { role: 'assistant', content: ' \n' }, user], 'visible character'],
    ['content in parts', [{ role: 'user', content: [{ type: 'text', text: 'x' }] }], 'a string is expected'],
    ['no content', [{ role: 'user', content: null }], 'a string is expected'],
    [
      'reasoning sent back',
      [user, { ...assistant, reasoning_content: 'hm' }, user],
      "'reasoning_content' is unsupported",
    ],
    ['a lone surrogate', [{ role: 'user', content: 'a\ud83d' }], 'not valid Unicode'],
    ['an unanswered call', [user, calls(call('1')), user], 'must be followed by tool messages'],
    ['a call answered in part', [user, calls(call('1'), call('2')), result('1'), user], "'tool_call_id': 2"],
    ['a call answered twice', [user, calls(call('1')), result('1'), result('1')], 'must be a response to a preceding'],
    ['a result without its call', [user, result('1')], 'must be a response to a preceding'],
    ['a result too late', [user, calls(call('1')), user, result('1')], 'must be followed by tool messages'],
    ['arguments that are cut', [user, calls(call('1', '{"a":')), result('1')], 'JSON arguments'],
    ['no calls in a list of calls', [user, calls(), user], 'JSON arguments'],
  ])('[fake] %s is refused', async (_, messages, message) => {
    const refused = await ask(messages);
    expect(refused).toMatch(/^400 .*invalid_request_error/u);
    expect(JSON.stringify(refused)).toContain(JSON.stringify(message).slice(1, -1));
  });

  test('[fake] answered calls, in any order, are accepted', async () => {
    expect(await ask([user, calls(call('1'), call('2')), result('2'), result('1'), assistant, user])).toMatch(/^200 /u);
  });

  test.each([
    ['a system message in between', [user, assistant, system, user], 'at the beginning'],
    ['two users in a row', [user, user], 'must alternate'],
    ['an assistant first', [assistant, user], 'must alternate'],
    ['an assistant last', [user, assistant], 'last role User or Tool'],
  ])('[fake] vLLM refuses %s, as templates do; OpenAI does not', async (_, messages, message) => {
    expect(await ask(messages, {}, '/vllm')).toContain(message);
    expect(await ask(messages)).toMatch(/^200 /u);
  });

  test('[fake] a body that does not stream, names no model, sets an odd limit or an unknown field is refused', async () => {
    expect(await ask([user], { stream: false })).toContain('only streams');
    expect(await ask([user], { model: '' })).toContain('model');
    expect(await ask([user], { max_tokens: 0 })).toContain('max_tokens');
    expect(await ask([user], { max_completion_tokens: 5 })).toContain('Unrecognized request argument');
  });

  test('[fake] another path is unknown to the server, another method to the API', async () => {
    const elsewhere = await fetch(`${fake.url}/chat/completions`, { method: 'POST', body: '{}' });
    expect([elsewhere.status, await elsewhere.text()]).toEqual([404, '404 page not found\n']);
    expect((await fetch(`${fake.url}/v1/chat/completions`)).status).toBe(405);
  });
});

describe('dialects', () => {
  const delta = (chunk: unknown): unknown => (chunk as { choices: { delta: unknown }[] }).choices[0]?.delta;

  test('[fake] OpenAI: the role alone first, null usage until the end, a chunk without choices last', async () => {
    const seen = await chunks('tokens=1', '');
    expect(seen).toHaveLength(4);
    expect(seen.slice(0, 3).map(delta)).toEqual([
      { role: 'assistant', content: '', refusal: null },
      { content: 'token1 ' },
      {},
    ]);
    expect(seen[1]).toMatchObject({ usage: null });
    expect(seen[3]).toMatchObject({ choices: [], usage: { completion_tokens: 1 } });
  });

  test('[fake] vLLM: `reasoning_content`, null ids behind the first fragment of a call', async () => {
    const seen = (await chunks('tokens=1 thinking=1 calls=1', '/vllm')).map(delta);
    expect(seen[1]).toEqual({ reasoning_content: 'thought1 ' });
    expect(seen[3]).toMatchObject({ tool_calls: [{ index: 0, function: { name: 'tool_1' } }] });
    expect(seen[3]).toHaveProperty('tool_calls.0.id', expect.stringMatching(/^call_fake_\d+_0$/u));
    expect(seen[4]).toMatchObject({ tool_calls: [{ index: 0, id: null, function: { name: null } }] });
  });

  test('[fake] Ollama: the role in each chunk, `reasoning`, whole calls in one delta', async () => {
    const seen = (await chunks('tokens=1 thinking=1 calls=2', '/ollama')).map(delta);
    expect(seen[0]).toEqual({ role: 'assistant', content: '', reasoning: 'thought1 ' });
    expect(seen[2]).toMatchObject({ tool_calls: [{ index: 0 }, { index: 0, function: { name: 'tool_2' } }] });
    expect(seen[3]).toEqual({ role: 'assistant', content: '' });
  });

  test('[fake] without include_usage there is none', async () => {
    const body = await ask([{ role: 'user', content: 'fake: tokens=1' }]);
    expect(body).not.toContain('usage');
    expect(body).toMatch(/data: \[DONE\]\n\n$/u);
  });

  test('[fake] ids may be null or absent', async () => {
    expect(await chunks('tokens=1 ids=null', '/vllm')).toMatchObject([{ id: null }, { id: null }, { id: null }, {}]);
    const absent = await chunks('tokens=1 calls=1 ids=absent', '/ollama');
    expect(absent.every((chunk) => !JSON.stringify(chunk).includes('"id"'))).toBe(true);
    expect(delta(absent[1])).not.toHaveProperty('tool_calls.0.index');
  });

  test.each(['usage=some', 'ids=x', 'calls=many', 'toString=1'])('[fake] %s cannot be read', async (directive) => {
    expect(await ask([{ role: 'user', content: `fake: ${directive}` }])).toMatch(/^400 .*cannot read/u);
  });
});
