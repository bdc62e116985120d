// What tools give, in the form in which it is kept: text that every part of the system can hold, cut at its limit.

import { LIMITS } from '../protocol/limits.ts';
import { cleanText, sliceUtf8, utf8Length } from '../protocol/text.ts';

/** Cut between code points; what is kept says how much is missing, for the model and for people. */
export function cutOutput(output: string): string {
  // A code unit is at most 3 bytes of UTF-8: most outputs are settled without counting.
  const clean = cleanText(output);
  if (clean.length * 3 <= LIMITS.toolOutputBytes) return clean;
  const bytes = utf8Length(clean);
  if (bytes <= LIMITS.toolOutputBytes) return clean;
  const room = LIMITS.toolOutputBytes - MARKER_BYTES_MAX;
  const kept = sliceUtf8(clean, 0, room);
  return `${kept.text}\n[cut: ${bytes - kept.bytes} of ${bytes} bytes left out]`;
}

/** With figures of any length. */
const MARKER_BYTES_MAX = 96;
