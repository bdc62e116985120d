import { describe, expect, test } from 'vitest';
import { fitColumns, takeColumns } from './columns.ts';

describe('columns', () => {
  test('[columns] what fits stays, what does not is cut with an ellipsis', () => {
    expect(fitColumns('hello', 5)).toBe('hello');
    expect(fitColumns('hello!', 5)).toBe('hell…');
    expect(fitColumns('', 5)).toBe('');
  });

  test('[columns] wide characters take two, combining ones none, and none is cut in half', () => {
    expect(fitColumns('日本語', 6)).toBe('日本語');
    expect(fitColumns('日本語', 5)).toBe('日本…');
    expect(fitColumns('🙂🙂🙂', 4)).toBe('🙂…');
    expect(fitColumns('e\u0301e\u0301', 2)).toBe('e\u0301e\u0301');
    expect(takeColumns('日本', 3)).toEqual({ text: '日', left: 1 });
  });
});
