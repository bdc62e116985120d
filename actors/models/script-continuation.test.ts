import { describe, expect, it } from 'vitest';
import { RECOVERY_NOTE } from '../chat/prompt.ts';
import type { PromptItem } from '../ports.ts';
import { askedIn, continueReply } from './script-continuation.ts';
import { scriptedReply } from './script-text.ts';

function item(role: PromptItem['role'], text: string): PromptItem {
  return { role, parts: [{ type: 'text', text }], provider: null };
}

describe('askedIn', () => {
  it('[models 9] is the last thing that the user said', () => {
    expect(askedIn([])).toMatchObject({ prompt: '', said: '' });
    const items = [item('user', 'one'), item('assistant', 'an answer'), item('user', 'two')];
    expect(askedIn(items)).toMatchObject({ prompt: 'two', said: '' });
  });

  it('[actors 6.3] behind a recovery note it is the question before, with what was said of the answer', () => {
    const items = [item('user', 'one'), item('assistant', 'an '), item('user', RECOVERY_NOTE)];
    expect(askedIn(items)).toMatchObject({ prompt: 'one', said: 'an ' });
    const twice = [...items, item('assistant', 'ans'), item('user', RECOVERY_NOTE)];
    expect(askedIn(twice)).toMatchObject({ prompt: 'one', said: 'an ans' });
  });

  it('[actors 6.3] of a step behind a tool it is what that step has said, not what the one before did', () => {
    const items = [item('user', 'one'), item('assistant', 'first'), item('tool', ''), item('assistant', 'sec')];
    expect(askedIn([...items, item('user', RECOVERY_NOTE)])).toMatchObject({
      prompt: 'one',
      said: 'sec',
      toolSteps: 1,
    });
  });
});

describe('continueReply', () => {
  it('[actors 6.3] both halves together are the whole script, wherever it was cut', () => {
    const reply = scriptedReply('/script deltas=20 reasoning=3 unicode=1');
    const whole = reply.text.join('');
    for (let cut = 0; cut <= whole.length; cut++) {
      const rest = continueReply(reply, whole.slice(0, cut));
      expect(whole.slice(0, cut) + rest.text.join('')).toBe(whole);
      expect(rest.text.every((delta) => delta !== '')).toBe(true);
    }
    expect(continueReply(reply, 'something else')).toBe(reply);
  });
});
