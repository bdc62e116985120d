import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { METRICS } from './definitions.ts';

/** The rows of the table in METRICS.md. */
function documented(): readonly (readonly string[])[] {
  const text = readFileSync(new URL('../METRICS.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(parley_\w+)` *\| (\w+) *\| ([^|]*?) *\| ([^|]+?) *\|/gm)];
  return rows.map(([, name = '', type = '', labels = '', meaning = '']) => [name, type, labels, meaning]);
}

describe('metrics', () => {
  it('[P11] the table says what there is, with its type, labels and meaning, and nothing else', () => {
    const defined = METRICS.map(({ name, type, labels, help }) => [
      name,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]);
    expect(documented()).toEqual(defined);
    expect(defined.length).toBeGreaterThan(50);
  });

  it('[§8] names are of this project, have their unit last, and no label is something clients make more of', () => {
    for (const { name, type, labels } of METRICS) {
      expect(name).toMatch(/^parley_[a-z][a-z_]*[a-z]$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      for (const label of labels) expect(label).not.toMatch(/chat|owner|session|user|principal|client|address|id$/);
    }
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  });
});
