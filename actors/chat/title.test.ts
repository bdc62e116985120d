import { describe, expect, it } from 'vitest';
import { cleanTitle, givesWay, TITLE_LIMITS, titleFrom, titleRequestText } from './title.ts';

describe('titles', () => {
  it('[titles] the user’s own wins over a generated one, that over the beginning of the text', () => {
    expect(givesWay(null, 'fallback')).toBe(true);
    expect(givesWay('fallback', 'generated')).toBe(true);
    expect(givesWay('fallback', 'fallback')).toBe(false);
    expect(givesWay('generated', 'generated')).toBe(false);
    expect(givesWay('generated', 'fallback')).toBe(false);
    expect(givesWay('user', 'generated')).toBe(false);
    expect(givesWay('user', 'fallback')).toBe(false);
    expect(givesWay('generated', 'user')).toBe(true);
    expect(givesWay('user', 'user')).toBe(true);
  });

  it.each([
    ['"Fixing the boiler"', 'Fixing the boiler'],
    ['Title: Fixing the boiler.', 'Fixing the boiler'],
    ['**Titel: „Die Heizung reparieren“**', 'Die Heizung reparieren'],
    ['\n\n# Fixing   the\tboiler\n\nSure, here is how.', 'Fixing the boiler'],
    ['one two three four five six seven eight nine ten', 'one two three four five six seven eight…'],
    ['东京的天气', '东京的天气'],
    [`red\u001b[31m alert`, 'red [31m alert'],
    ['""', null],
    [' \n ', null],
    ['', null],
  ])('[titles] %j becomes %j', (answer, title) => {
    expect(cleanTitle(answer)).toBe(title);
  });

  it('[titles] what is too long is cut, at code points, not refused', () => {
    const title = cleanTitle('🜁'.repeat(300)) ?? '';
    expect([...title]).toHaveLength(TITLE_LIMITS.generatedTitleChars + 1);
    expect(title.isWellFormed()).toBe(true);
    expect(title.endsWith('…')).toBe(true);
  });

  it('[titles] without a model it is the beginning of the text', () => {
    expect(titleFrom([{ type: 'text', text: ' How do\n I ' }])).toBe('How do I');
    expect(titleFrom([{ type: 'text', text: 'x'.repeat(100) }])).toBe(`${'x'.repeat(60)}…`);
  });

  it('[titles] the model is shown the beginning of the message and no more', () => {
    const text = titleRequestText([{ type: 'text', text: 'y'.repeat(100_000) }]);
    expect(text.length).toBeLessThan(TITLE_LIMITS.titleSourceChars + 50);
  });
});
