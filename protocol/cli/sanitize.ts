// What a model or another person wrote must not steer the terminal: control sequences are stripped, across deltas too.
//
// Kept: printable text, line feed and tab. Stripped: ESC and what it introduces, the C0 and C1 controls, DEL, and the
// characters that turn the direction of text around (they make a line read differently from what it says). The grammar
// is that of ECMA-48 §5.3-5.6. A sequence that does not end is given up at a line feed or at a bound, so that no byte
// can make all the text after it invisible.

/** How far a sequence has been read: nowhere, behind ESC, in a CSI sequence, in a string (OSC, DCS …), in its ESC. */
type Place = 'text' | 'escape' | 'csi' | 'string' | 'stringEscape';

/** `length` counts the characters of the sequence so far. */
export type SanitizerState = { readonly place: Place; readonly length: number };

export const CLEAN: SanitizerState = { place: 'text', length: 0 };

/** A CSI sequence is a few numbers; an OSC string at most a title or a link. */
const LENGTH_MAX = { text: 0, escape: 8, csi: 64, string: 4096, stringEscape: 4096 } as const;

const BEL = 0x07;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const ESC = 0x1b;
const DEL = 0x7f;
const C1_CSI = 0x9b;
const C1_ST = 0x9c;

/** The text of `delta` that may be printed, and the state to hand in with the next delta of the same block. */
export function sanitizeDelta(
  state: SanitizerState,
  delta: string,
): { readonly text: string; readonly state: SanitizerState } {
  let text = '';
  let { place, length } = state;
  for (let i = 0; i < delta.length; i++) {
    const code = delta.charCodeAt(i);
    const next = code === LINE_FEED || length >= LENGTH_MAX[place] ? null : inSequence(place, code);
    if (next === null) {
      place = opens(code);
      length = 0;
      if (place === 'text' && isPrintable(code)) text += delta[i];
    } else {
      length = next === 'text' ? 0 : length + 1;
      place = next;
    }
  }
  return { text, state: { place, length } };
}

/** Sanitizes a text that is there as a whole. */
export function sanitize(text: string): string {
  return sanitizeDelta(CLEAN, text).text;
}

/** Sanitizes a text that belongs on one line, such as a title. */
export function sanitizeLine(text: string): string {
  return sanitize(text).replaceAll(/\s+/g, ' ').trim();
}

/** JSON that is safe to print: what `sanitize` strips stays in it, but as an escape. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, escaped);
}

/**
 * For what a person has to judge: nothing is stripped, what would steer the terminal or cannot be seen is shown as an
 * escape.
 */
export function visibleText(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

function escaped(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}

/** Where the sequence stands after `code`; null when `code` is not part of it and stands for itself. */
function inSequence(place: Place, code: number): Place | null {
  switch (place) {
    case 'text':
      return null;
    case 'escape':
      return behindEscape(code);
    case 'csi':
      if (code >= 0x40 && code <= 0x7e) return 'text';
      return code >= 0x20 && code <= 0x3f ? 'csi' : null;
    case 'string':
      if (code === BEL || code === C1_ST) return 'text';
      return code === ESC ? 'stringEscape' : 'string';
    case 'stringEscape':
      // ESC \ ends the string; any other ESC ends it too, and begins a sequence of its own.
      return code === 0x5c ? 'text' : (behindEscape(code) ?? null);
  }
}

function behindEscape(code: number): Place | null {
  const introduced = introducedBy(code);
  if (introduced !== null) return introduced;
  if (code >= 0x20 && code <= 0x2f) return 'escape';
  return code >= 0x30 && code <= 0x7e ? 'text' : null;
}

/** `[` CSI; `P` DCS, `X` SOS, `]` OSC, `^` PM, `_` APC. */
function introducedBy(code: number): Place | null {
  if (code === 0x5b) return 'csi';
  return code === 0x50 || code === 0x58 || (code >= 0x5d && code <= 0x5f) ? 'string' : null;
}

/** The place that a character of plain text leads to; the C1 controls are those behind ESC, 64 higher. */
function opens(code: number): Place {
  if (code === ESC) return 'escape';
  if (code === C1_CSI) return 'csi';
  return code >= 0x80 && code <= 0x9f && introducedBy(code - 0x40) === 'string' ? 'string' : 'text';
}

function isPrintable(code: number): boolean {
  if (code < 0x20) return code === LINE_FEED || code === TAB;
  if (code >= DEL && code <= 0x9f) return false;
  return !((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069));
}
