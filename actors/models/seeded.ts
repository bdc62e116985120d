// Repeatable randomness for the scripted model: the same seed gives the same sequence on every machine.

/** FNV-1a over the UTF-16 units of a text: 32 bits, unsigned. Spreads seeds, protects nothing. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A generator of numbers in [0, 1): mulberry32, whose period (2^32) is far beyond what one reply draws. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of `items`, which must not be empty. */
export function pick<T>(items: readonly [T, ...T[]], fraction: () => number): T {
  return items[Math.floor(fraction() * items.length)] ?? items[0];
}
