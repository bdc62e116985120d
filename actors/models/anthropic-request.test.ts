import { describe, expect, test } from 'vitest';

import type { AttemptId, ChatId } from '../../protocol/ids.ts';
import type { ModelRequest, PromptItem } from '../ports.ts';
import { anthropicRequest } from './anthropic-request.ts';

type Body = { readonly messages: readonly { readonly role: string; readonly content: readonly object[] }[] };

function built(items: readonly PromptItem[], system: readonly string[] = []): Body | null {
  const text = written(items, system);
  return text === null ? null : (JSON.parse(text) as Body);
}

function written(items: readonly PromptItem[], system: readonly string[] = []): string | null {
  const ids = { chat: 'c' as ChatId, attempt: 'a' as AttemptId };
  const request: ModelRequest = {
    model: 'm',
    system,
    items,
    tools: [],
    toolChoice: 'auto',
    maxOutputTokens: 99,
    attemptNumber: 1,
    trace: null,
    background: false,
    resume: null,
    ...ids,
  };
  return anthropicRequest(request);
}

function item(role: 'user' | 'assistant', ...texts: readonly string[]): PromptItem {
  return { role, parts: texts.map((text) => ({ type: 'text', text })), provider: null };
}

describe('the request', () => {
  test('[models 4.4] its shape', () => {
    expect(built([item('user', 'a')], ['s'])).toEqual({
      model: 'm',
      max_tokens: 99,
      stream: true,
      cache_control: { type: 'ephemeral' },
      system: [{ type: 'text', text: 's', cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }],
    });
  });

  test('[models 4.4] a system prompt that is blank is left out', () => {
    expect(built([item('user', 'a')], ['', ' \n'])).not.toHaveProperty('system');
  });

  test('[models 4.4] consecutive messages of one role stay as they are: the API joins them', () => {
    expect(built([item('user', 'a'), item('user', 'b')])?.messages.map((message) => message.role)).toEqual([
      'user',
      'user',
    ]);
  });

  test("[P12] a blank user's message is never sent blank, a blank assistant's not at all", () => {
    const request = built([item('user', ' '), item('assistant', '', '\n'), item('user')]);
    expect(request?.messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: '(an empty message)' }] },
      { role: 'user', content: [{ type: 'text', text: '(an empty message)' }] },
    ]);
  });

  test('[models 4.4] without a message there is no request', () => {
    expect(built([])).toBeNull();
    expect(built([item('assistant', '')])).toBeNull();
  });

  test('[models 4.4] blocks of the provider go back as they were stored, unknown ones and key order included', () => {
    const json = '[{"z":1.0,"type":"new","a":{"2":0,"1":[1.50,null]}},{"type":"text","text":"ü","citations":null}]';
    const provider = { provider: 'anthropic', json: new TextEncoder().encode(json) };
    const request = written([item('user', 'a'), { ...item('assistant', 'not this'), provider }, item('user', 'b')]);
    expect(request).toContain(`{"role":"assistant","content":${json}}`);
  });
});
