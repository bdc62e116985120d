// How many columns of a terminal a text takes, so that one that belongs on one row is cut to it.
//
// A wide character takes two, a combining one none: the ranges of East_Asian_Width W and F (Unicode Annex 11) and of the
// emoji that terminals draw, coarse. An error of a column wraps a line and does no more harm.

const WIDE: readonly (readonly [from: number, to: number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

/** Combining marks with the variation selectors, the zero-width joiner and its like. */
const WITHOUT_WIDTH = /^[\p{M}\p{Cf}]$/u;

export const ELLIPSIS = '…';

/** The beginning of the text that fits into so many columns, and how many are left. */
export function takeColumns(text: string, columns: number): { readonly text: string; readonly left: number } {
  let [units, left] = [0, columns];
  for (const character of text) {
    const width = widthOf(character);
    if (width > left) break;
    units += character.length;
    left -= width;
  }
  return { text: text.slice(0, units), left };
}

/** The text, cut with an ellipsis where it takes more than so many columns. */
export function fitColumns(text: string, columns: number): string {
  const whole = takeColumns(text, columns);
  if (whole.text.length === text.length) return text;
  return takeColumns(text, columns - 1).text + ELLIPSIS;
}

function widthOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (WITHOUT_WIDTH.test(character)) return 0;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}
