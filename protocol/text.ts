// Text as the protocol allows it: UTF-8 without NUL and without lone surrogates, counted in bytes, cut between code points.
//
// NUL is refused because Postgres cannot store it in `text`; a lone surrogate because UTF-8 has no form for it, so that
// every encoder would put something else in its place and two clients would show two texts.

/** Length in bytes of UTF-8. A lone surrogate counts 3, as the U+FFFD that an encoder puts in its place. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else {
      // Both units of a pair are counted already: its 4 bytes are 2 more.
      bytes += 2;
      if ((unit & 0xfc00) === 0xd800 && isPair(text, i)) i++;
    }
  }
  return bytes;
}

/** Whether the text may be sent: no NUL, no lone surrogate. */
export function isCleanText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/** The text with U+FFFD in the place of every NUL and lone surrogate: for what models, tools and providers wrote. */
export function cleanText(text: string): string {
  return isPlain(text) ? text : text.toWellFormed().replaceAll('\0', '\ufffd');
}

/** Above this the engine's own search is faster than a loop. */
const PLAIN_UNITS_MAX = 64;

/** Short and surely clean, as nearly every piece of a streamed text is: a loop costs a quarter of what cleaning does. */
export function isPlain(text: string): boolean {
  if (text.length > PLAIN_UNITS_MAX) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0 || unit >= 0xd800) return false;
  }
  return true;
}

/** A slice of a text in bytes of UTF-8; `offset` is where it begins, `bytes` how long it is. */
export type Utf8Slice = { readonly offset: number; readonly bytes: number; readonly text: string };

/**
 * The longest slice of at most `bytesMax` bytes that begins at the byte `offset` and cuts no code point. An `offset`
 * inside a code point moves back to its beginning, one behind the end gives the empty slice at the end. At least one
 * code point is given where there is one, so that whoever pages on always gets ahead.
 */
export function sliceUtf8(text: string, offset: number, bytesMax: number): Utf8Slice {
  let unit = 0;
  let at = 0;
  while (unit < text.length) {
    const size = sizeAt(text, unit);
    if (at + size > offset) break;
    at += size;
    unit += unitsOf(size);
  }
  const first = unit;
  const begin = at;
  while (unit < text.length) {
    const size = sizeAt(text, unit);
    if (at + size - begin > bytesMax && unit > first) break;
    at += size;
    unit += unitsOf(size);
  }
  return { offset: begin, bytes: at - begin, text: text.slice(first, unit) };
}

/** The index in UTF-16 code units of the byte `offset`; null when it lies inside a code point or behind the end. */
export function unitsAtByte(text: string, offset: number): number | null {
  let unit = 0;
  let at = 0;
  while (unit < text.length && at < offset) {
    const size = sizeAt(text, unit);
    at += size;
    unit += unitsOf(size);
  }
  return at === offset ? unit : null;
}

function isPair(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00;
}

function sizeAt(text: string, index: number): number {
  const unit = text.charCodeAt(index);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  return isPair(text, index) ? 4 : 3;
}

function unitsOf(size: number): number {
  return size === 4 ? 2 : 1;
}
