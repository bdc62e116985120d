// Arrays as Postgres reads them in text form, for `unnest($1::type[], …)`.
//
// Written here and not by postgres.js, which guesses the type of an array from its first element: a leading null would
// make another statement of it, and a boolean a wrong one. As a string the type is always what the cast says.

/** `{"a",NULL}`: values in their text form; quotes and backslashes escaped. */
export function arrayLiteral(values: readonly (string | number | bigint | boolean | null)[]): string {
  return `{${values.map(element).join(',')}}`;
}

/** Bytes as elements of a `bytea[]`. */
export function byteaLiteral(values: readonly (Uint8Array | null)[]): string {
  return `{${values.map((bytes) => (bytes === null ? 'NULL' : `"\\\\x${hex(bytes)}"`)).join(',')}}`;
}

/** Unix milliseconds as elements of a `timestamptz[]`. */
export function timeLiteral(values: readonly (number | null)[]): string {
  return `{${values.map((ms) => (ms === null ? 'NULL' : `"${new Date(ms).toISOString()}"`)).join(',')}}`;
}

function element(value: string | number | bigint | boolean | null): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'string') return String(value);
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
