// Equality of plain values, whatever the order of their keys.

import { createHash } from 'node:crypto';

/** Equal texts for equal values, whatever the order of the keys: for reports, digests, and where speed does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** 96 bits: enough to tell apart what one history holds. */
export function digestOf(value: unknown): string {
  return createHash('sha256')
    .update(canonical(value) ?? 'undefined')
    .digest('base64')
    .slice(0, 16);
}

/** Deep equality of what JSON can hold; a key without a value is no key. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  return includes(a, b) && includes(b, a);
}

function includes(whole: object, part: object): boolean {
  const [values, wanted] = [whole, part] as Readonly<Record<string, unknown>>[];
  for (const key in wanted) if (!isSame(values?.[key], wanted[key])) return false;
  return true;
}
