// SPEC.md against the code: whoever writes a client from the document alone gets the numbers that the server uses.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CLOSE_CODES } from './close-codes.ts';
import { ERRORS } from './errors.ts';
import { EVENT_KINDS } from './events.ts';
import { OPS, SUBPROTOCOL } from './frames.ts';
import { LIMITS } from './limits.ts';

const SPEC = readFileSync(new URL('SPEC.md', import.meta.url), 'utf8');

/** The cells of all rows whose first cell is a name in backticks, under one heading. */
function rows(heading: string): readonly (readonly string[])[] {
  const section = SPEC.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
}

/** name → the cell beside it. */
function table(heading: string): ReadonlyMap<string, string> {
  return new Map(rows(heading).map(([name = '', second = '']) => [name.replaceAll('`', ''), second]));
}

describe('SPEC.md', () => {
  test('[spec] ops have the numbers of the code', () => {
    expect(table('3. Ops')).toEqual(new Map(Object.entries(OPS).map(([op, number]) => [op, String(number)])));
    expect(SPEC).toContain(`\`${SUBPROTOCOL}\``);
  });

  test('[spec] kinds of events have the numbers of the code', () => {
    const kinds = Object.entries(EVENT_KINDS).map(([kind, number]) => [kind, String(number)] as const);
    expect(table('6. Events')).toEqual(new Map(kinds));
  });

  test('[spec] errors have the retry and the message of the code', () => {
    const errors = Object.entries(ERRORS).map(([code, { retry, message }]) => [`\`${code}\``, retry, message]);
    expect(rows('9. Errors')).toEqual(errors);
  });

  test('[spec] close codes have the numbers of the code', () => {
    const codes = Object.entries(CLOSE_CODES).map(([name, code]) => [name, String(code)] as const);
    expect(table('10. Close codes')).toEqual(new Map(codes));
  });

  test('[spec] limits have the figures of the code', () => {
    const limits = Object.entries(LIMITS).map(([name, figure]) => [name, String(figure)] as const);
    expect(table('11. Limits')).toEqual(new Map(limits));
  });

  test('[spec] rules are numbered in order, without a hole', () => {
    const numbers = [...SPEC.matchAll(/^(\d+)\.(\d+) /gm)].map(
      ([, section, rule]) => [Number(section), Number(rule)] as const,
    );
    expect(numbers.length).toBeGreaterThan(80);
    for (const [i, [section, rule]] of numbers.entries()) {
      const [before, last] = numbers[i - 1] ?? [section, 0];
      expect(`${section}.${rule}`).toBe(`${section}.${before === section ? last + 1 : 1}`);
    }
  });

  test('[spec] the tests that it names exist', () => {
    const named = [...SPEC.matchAll(/`((?:protocol|gateway|test)\/[\w./-]+\.test\.ts)`/g)].map(
      ([, path]) => path ?? '',
    );
    expect(named.length).toBeGreaterThan(5);
    for (const path of named) expect(() => readFileSync(new URL(`../${path}`, import.meta.url)), path).not.toThrow();
  });
});
