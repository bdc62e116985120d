import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Part, ToolStatus } from '../protocol/content.ts';
import { LIMITS } from '../protocol/limits.ts';
import { inlineParts } from '../protocol/references.ts';
import {
  CONTENT_VERSION,
  decodeContent,
  decodeJournal,
  decodeLabels,
  decodeTextParts,
  decodeTurn,
  encodeContent,
  encodeJournal,
  encodeJson,
  encodeTurn,
} from './codec.ts';
import { UnreadableRow } from './errors.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('[storage] content comes back as it went in', () => {
  const text = fc.string({ unit: 'binary' });
  const type = <T extends Part['type']>(name: T): { readonly type: fc.Arbitrary<T> } => ({ type: fc.constant(name) });
  const status = fc.constantFrom<ToolStatus>('ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown');
  const part = fc.oneof<fc.Arbitrary<Part>[]>(
    fc.record({ ...type('text'), text }),
    fc.record({ ...type('reasoning'), text }),
    fc.record({ ...type('tool_call'), text, call: text, name: text }),
    fc.record({ ...type('tool_result'), text, call: text, status }),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      expect(decodeContent(CONTENT_VERSION, encodeContent(parts))).toEqual(parts);
    }),
  );
});

test('[storage] labels come back as they went in, whatever their names', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), (labels) => {
      const own = Object.fromEntries(Object.entries(labels));
      expect(decodeLabels(encodeJson(own))).toEqual(own);
    }),
  );
  const named = decodeLabels(bytes('{"__proto__": "x", "constructor": "y"}'));
  expect(Object.keys(named)).toEqual(['__proto__', 'constructor']);
  expect(Object.getPrototypeOf(named)).toBe(Object.prototype);
});

test('[storage] the stored form of version 1 is fixed', () => {
  const stored = '{"parts":[{"type":"text","text":"hi"},{"type":"reasoning","text":""}]}';
  const parts = [
    { type: 'text', text: 'hi' },
    { type: 'reasoning', text: '' },
  ] as const;
  expect(new TextDecoder().decode(encodeContent(parts))).toBe(stored);
  expect(decodeContent(1, bytes(stored))).toEqual(parts);
});

test('[storage] what this version does not know is unreadable, and is not guessed at', () => {
  const content: readonly (readonly [number, string])[] = [
    [0, '{"parts":[]}'],
    [2, '{"parts":[]}'],
    [1, '{"parts":[{"type":"image","text":""}]}'],
    [1, '{"parts":[{"type":"text"}]}'],
    [1, '{"parts":{}}'],
    [1, '[]'],
    [1, 'null'],
    [1, '{"parts":['],
  ];
  for (const [version, text] of content) expect(() => decodeContent(version, bytes(text))).toThrow(UnreadableRow);
  expect(() => decodeContent(1, new Uint8Array([0xff, 0xfe]))).toThrow(UnreadableRow);
  expect(() => decodeTextParts(1, encodeContent([{ type: 'reasoning', text: '' }]))).toThrow(UnreadableRow);
  expect(() => decodeTurn(bytes('{"version":2,"turn":{}}'))).toThrow(UnreadableRow);
  expect(() => decodeJournal(bytes('{"version":2,"entries":[]}'))).toThrow(UnreadableRow);
});

test('[storage] turns and journals come back as they went in', () => {
  const turn = {
    id: 'x' as never,
    model: 'm',
    step: 1,
    attempt: 2,
    stopping: 'stopped',
    retry: null,
    recoveries: 0,
  } as const;
  expect(decodeTurn(encodeTurn(turn))).toEqual(turn);
  const entries = [{ index: 0, type: 'text', offset: 7, text: '\0\u{1F600}', ended: true }] as const;
  expect(decodeJournal(encodeJournal(entries))).toEqual(entries);
});

test('[P4] a part is a reference from one byte above the limit on', () => {
  const limit = LIMITS.inlinePartBytes;
  const texts = ['x'.repeat(limit), 'x'.repeat(limit + 1), 'é'.repeat(limit / 2), `é${'x'.repeat(limit - 1)}`];
  expect(
    inlineParts(texts.map((text) => ({ type: 'text', text }))).map((part) => ('bytes' in part ? part.bytes : null)),
  ).toEqual([null, limit + 1, null, limit + 1]);
});
