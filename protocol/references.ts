// Large parts as references: what is sent of a message keeps to a size that a slow reader can take, the rest is fetched.

import type { PartOrReference } from './content.ts';
import { LIMITS } from './limits.ts';
import { utf8Length } from './text.ts';

/** Parts as clients get them in snapshots and pages: text above `LIMITS.inlinePartBytes` becomes a reference. */
export function inlineParts(parts: readonly PartOrReference[]): readonly PartOrReference[] {
  return parts.map((part) => {
    // A code unit is at most 3 bytes of UTF-8: most parts are settled without counting.
    if (!('text' in part) || part.text.length * 3 <= LIMITS.inlinePartBytes) return part;
    const bytes = utf8Length(part.text);
    if (bytes <= LIMITS.inlinePartBytes) return part;
    const { text: _text, ...rest } = part;
    return { ...rest, bytes };
  });
}

/** Parts as the event `message` has them: whole, unless the event would be larger than a piece of a snapshot. */
export function eventParts(parts: readonly PartOrReference[]): readonly PartOrReference[] {
  const units = parts.reduce((sum, part) => sum + ('text' in part ? part.text.length : 0), 0);
  if (units * 3 <= LIMITS.snapshotPieceBytes) return parts;
  const bytes = parts.reduce((sum, part) => sum + ('text' in part ? utf8Length(part.text) : 0), 0);
  return bytes > LIMITS.snapshotPieceBytes ? inlineParts(parts) : parts;
}
