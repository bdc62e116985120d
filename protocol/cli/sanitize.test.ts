import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLEAN, printableJson, sanitize, sanitizeDelta, sanitizeLine, visibleText } from './sanitize.ts';

/** Sequence → what stays of it. */
const SEQUENCES: readonly (readonly [name: string, from: string, to: string])[] = [
  ['colour', 'a\u001b[1;31mred\u001b[0mb', 'aredb'],
  ['cursor and erase', 'a\u001b[2J\u001b[1;1Hb', 'ab'],
  ['private mode', 'a\u001b[?1049hb', 'ab'],
  ['title by BEL', 'a\u001b]0;owned\u0007b', 'ab'],
  ['title by ST', 'a\u001b]0;owned\u001b\\b', 'ab'],
  ['link', '\u001b]8;;https://evil.example\u001b\\text\u001b]8;;\u001b\\', 'text'],
  ['clipboard', 'a\u001b]52;c;ZXZpbA==\u0007b', 'ab'],
  ['device control', 'a\u001bPq#0;2\u001b\\b', 'ab'],
  ['application command', 'a\u001b_x\u001b\\b', 'ab'],
  ['C1 CSI', 'a\u009b31mb', 'ab'],
  ['C1 OSC', 'a\u009d0;x\u009cb', 'ab'],
  ['charset', 'a\u001b(0b', 'ab'],
  ['reset', 'a\u001bcb', 'ab'],
  ['C0', 'a\u0000\u0007\u0008\u000b\u000c\u007fb', 'ab'],
  ['carriage return', 'good\rbad\r\nnext', 'goodbad\nnext'],
  ['direction', 'a\u202eb\u2066c\u2069d\u202ce', 'abcde'],
  ['kept', 'tab\tline\nÄ 漢字 👩‍👩‍👧 \u200f', 'tab\tline\nÄ 漢字 👩‍👩‍👧 \u200f'],
];

function inPieces(text: string, cuts: readonly number[]): string {
  let state = CLEAN;
  let clean = '';
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  for (let i = 1; i < places.length; i++) {
    const step = sanitizeDelta(state, text.slice(places[i - 1], places[i]));
    clean += step.text;
    state = step.state;
  }
  return clean;
}

describe('sanitize', () => {
  for (const [name, from, to] of SEQUENCES) {
    test(`[sanitize] ${name}`, () => expect(sanitize(from)).toBe(to));

    test(`[sanitize] ${name}, split between any two characters`, () => {
      for (let cut = 0; cut <= from.length; cut++) expect(inPieces(from, [cut])).toBe(to);
    });
  }

  test('[sanitize] a sequence without an end does not hide what follows', () => {
    expect(sanitize('\u001b]0;title\nvisible')).toBe('\nvisible');
    expect(sanitize(`\u001b]0;${'x'.repeat(5000)}visible`)).toMatch(/visible$/);
    expect(sanitize(`\u001b[${'1'.repeat(100)}visible`)).toMatch(/visible$/);
    expect(sanitize('\u001b[12\u001b[31mvisible')).toBe('visible');
    expect(sanitize('\u001b]0;a\u001b[31mvisible')).toBe('visible');
  });

  test('[sanitize] no control survives, however the text is cut', () => {
    const alphabet = [
      '\u001b',
      '[',
      ']',
      'P',
      '\\',
      '\u0007',
      '\u009b',
      '\u009c',
      ';',
      '1',
      'm',
      'a',
      '\n',
      '\u202e',
      '\r',
    ];
    const noise = fc.array(fc.constantFrom(...alphabet), { maxLength: 60 }).map((list) => list.join(''));
    fc.assert(
      fc.property(noise, fc.array(fc.nat(), { maxLength: 5 }), (text, cuts) => {
        const clean = sanitize(text);
        expect(clean).not.toMatch(/[^\u0020-\u007e\n]/);
        expect(inPieces(text, cuts)).toBe(clean);
      }),
    );
  });

  test('[sanitize] a title stays on its line', () => {
    expect(sanitizeLine(' a\n\u001b[31mb\t c ')).toBe('a b c');
  });

  test('[sanitize] what is to be judged shows what it hides', () => {
    expect(visibleText('a\u001b[31mb\u202e\u200b\u{e0041}\r\nä🙂')).toBe(
      'a\\u001b[31mb\\u202e\\u200b\\ue0041\\u000d\\u000aä🙂',
    );
  });

  test('[sanitize] JSON keeps what it escapes', () => {
    const value = { text: '\u009b31m \u202e \u001b \u007f ä' };
    expect(printableJson(value)).toBe('{"text":"\\u009b31m \\u202e \\u001b \\u007f ä"}');
    expect(JSON.parse(printableJson(value))).toEqual(value);
  });
});
