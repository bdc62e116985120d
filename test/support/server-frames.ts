// What a server may send, by protocol/SPEC.md section 3, checked on plain arrays: neither our codec nor our types are asked.

import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { ERRORS } from '../../protocol/errors.ts';

type Field = (value: unknown) => boolean;
type Map = Readonly<Record<string, unknown>>;

const isMap = (value: unknown): value is Map =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
const whole: Field = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const text: Field = (value) => typeof value === 'string';
const id: Field = (value) => value instanceof Uint8Array && value.length === 16;
const list: Field = (value) => Array.isArray(value);
const anything: Field = () => true;
const orNil =
  (field: Field): Field =>
  (value) =>
    value === null || field(value);

/** An error of the catalogue, with the verdict that stands there. */
export const isCatalogueError: Field = (value) =>
  isMap(value) &&
  text(value['message']) &&
  Object.entries(ERRORS).some(([code, { retry }]) => code === value['code'] && retry === value['retry']);

const closeCode: Field = (value) => Object.values<unknown>(CLOSE_CODES).includes(value);
const outcome: Field = (value) => ['resumed', 'snapshot', 'gone'].includes(String(value));

/** op → its fields. Ops that are not here no server of this version sends. */
const FRAMES: ReadonlyMap<unknown, readonly Field[]> = new Map([
  [33, [whole, text, text, text, whole, whole, list]],
  [34, [whole, (value) => typeof value === 'boolean', anything]],
  [35, [id, outcome, orNil(whole), orNil(whole), orNil(list)]],
  [36, [id, whole, whole, whole, whole, anything]],
  [37, [anything]],
  [38, [whole, list]],
  [39, [whole]],
  [40, [closeCode, text]],
  [41, [id, isCatalogueError]],
]);

/** Why the frame is none that a server may send; null when it is one. */
export function serverFrameFault(frame: readonly unknown[]): string | null {
  const [op, ...fields] = frame;
  const wanted = FRAMES.get(op);
  if (wanted === undefined) return `op ${String(op)}`;
  const bad = wanted.findIndex((field, i) => !field(fields[i]));
  if (bad !== -1) return `field ${bad} of op ${String(op)}: ${JSON.stringify(fields[bad])}`;
  const [, ok, body] = fields;
  return op === 34 && ok === false && !isCatalogueError(body) ? `error ${JSON.stringify(body)}` : null;
}
