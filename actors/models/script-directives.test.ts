import { describe, expect, test } from 'vitest';

import { type Script, parseScript, scriptHelp } from './script-directives.ts';
import { scriptedReasoning, scriptedReply, scriptedText } from './script-text.ts';

function script(prompt: string): Script {
  const parsed = parseScript(prompt);
  if (parsed.outcome !== 'script') throw new Error(`no script: ${JSON.stringify(parsed)}`);
  return parsed.script;
}

describe('the grammar', () => {
  test('[scripted] every directive is read', () => {
    expect(
      script(
        'hi /script deltas=2000 pace=5ms text=word seed=7 reasoning=3 fail=overloaded@100 times=2 silence=5s@3 size=4 retry-after=1m',
      ),
    ).toEqual({
      body: { kind: 'deltas', count: 2000, word: 'word' },
      size: 4,
      paceMs: { minMs: 5, maxMs: 5 },
      seed: 7,
      reasoning: 3,
      unicode: false,
      fail: { kind: 'overloaded', afterDeltas: 100 },
      silence: { durationMs: 5_000, afterDeltas: 3 },
      times: 2,
      retryAfterMs: 60_000,
      stop: 'end_turn',
      tools: [],
      steps: 1,
    });
  });

  test('[scripted] several lines add up, a line ends the directives', () => {
    const read = script('/script deltas=3\nand deltas=9 here\n/script pace=10-20ms stop=refusal');
    expect(read).toMatchObject({ body: { count: 3 }, paceMs: { minMs: 10, maxMs: 20 }, stop: 'refusal' });
  });

  test('[scripted] a message without /script is none', () => {
    expect(script('what does /scripted mean? a/script b').body).toEqual({ kind: 'answer' });
  });

  test.each(['/script bla=1', '/script deltas', '/script faster', '/script DELTAS=1'])(
    '[scripted] an unknown directive is answered in plain words, with the help: %s',
    (prompt) => {
      expect(scriptedText(prompt)).toMatch(/^I do not know the directive `[^`]+`\./u);
      expect(scriptedText(prompt)).toContain(scriptHelp());
    },
  );

  test.each([
    'deltas=x',
    'deltas=-1',
    'deltas=999999999',
    'pace=fast',
    'pace=40-20ms',
    'fail=boom',
    'fail=cut@x',
    'stop=never',
    'say="open',
    'size=0',
    'unicode=yes',
    'silence=99999m',
    'fail=toString',
    'stop=constructor',
  ])('[scripted] a value that cannot be read is said: %s', (word) => {
    expect(scriptedText(`/script ${word}`)).toMatch(/^I cannot read the value in `/u);
  });

  test('[scripted] ways to give the text exclude each other', () => {
    expect(scriptedText('/script say=a words=3')).toMatch(/^`say` and `words` exclude each other\./u);
  });

  test('[scripted] the help names every directive', () => {
    expect(scriptedText('/script help')).toBe(scriptHelp());
    for (const key of [
      'deltas',
      'text',
      'words',
      'say',
      'size',
      'pace',
      'seed',
      'reasoning',
      'unicode',
      'fail',
      'retry-after',
      'silence',
      'times',
      'stop',
      'tool',
      'steps',
    ]) {
      expect(scriptHelp()).toContain(`\`${key}=`);
    }
  });
});

describe('the text', () => {
  test('[scripted] exactly as told', () => {
    expect(scriptedText('/script say="two  words\\n\\"q\\" \\u00e9 😀"')).toBe('two  words\n"q" é 😀');
    expect(scriptedText('/script deltas=3 text=word')).toBe('word word word ');
    expect(scriptedText('/script text=once')).toBe('once ');
    expect(scriptedText('/script deltas=0')).toBe('');
  });

  test('[scripted] as many deltas as told, of the size told', () => {
    expect(scriptedReply('/script deltas=2000').text).toHaveLength(2000);
    const sized = scriptedReply('/script deltas=50 unicode=1 size=3').text;
    expect(sized.slice(0, -1).every((delta) => Array.from(delta).length === 3)).toBe(true);
    expect(sized.every((delta) => delta.isWellFormed())).toBe(true);
    expect(scriptedReply('/script words=500').text).toHaveLength(500);
    expect(scriptedReasoning('/script reasoning=4').split(' ')).toHaveLength(5);
  });

  test('[scripted] the same message always gives the same text, another one another', () => {
    expect(scriptedText('hello')).toBe(scriptedText('hello'));
    const answers = new Set(Array.from({ length: 20 }, (_, i) => scriptedText(`question ${i}`)));
    expect(answers.size).toBe(20);
    expect(scriptedText('/script deltas=9 seed=1')).not.toBe(scriptedText('/script deltas=9 seed=2'));
    expect(scriptedText('a /script deltas=9 seed=1')).toBe(scriptedText('b /script deltas=9 seed=1'));
  });

  test('[scripted] an answer echoes what was said, on one line, and has 25 to 75 words', () => {
    for (let i = 0; i < 40; i++) {
      const text = scriptedText(`tell me\nabout ${i}\u0007 rivers`);
      expect(text).toContain(`“tell me about ${i} rivers”`);
      const words = text.split(/\s+/u).length;
      expect(words).toBeGreaterThanOrEqual(25);
      expect(words).toBeLessThanOrEqual(75);
    }
    expect(scriptedText('')).toContain('You did not say anything yet.');
    expect(scriptedText('x'.repeat(5000)).length).toBeLessThan(700);
  });

  test('[scripted] unicode=1 has characters of one to four bytes, combining marks and joined emoji', () => {
    const text = scriptedText('/script deltas=200 unicode=1');
    for (const pattern of [/[a-z]/u, /é/u, /漢/u, /😀/u, /\u0301/u, /\u200d/u, /𠮷/u]) expect(text).toMatch(pattern);
  });
});
