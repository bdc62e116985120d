// The form of a vector, and how its bytes are written down.

/** Bytes are `hex`, then `repeat.hex` `repeat.times` times: so that what is forbidden for its size fits on a line. */
export type VectorBytes = {
  readonly hex: string;
  readonly repeat?: { readonly hex: string; readonly times: number };
};

/** What a vector decodes to: ids as text, all other bytes as hex. A negative one also has the code that it ends with. */
export type Vector = VectorBytes & {
  readonly name: string;
  readonly frames: readonly unknown[];
  readonly error?: string;
};

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Bytes of hex digits; blanks are for the eye. */
export function fromHex(hex: string): Uint8Array {
  const digits = hex.replaceAll(' ', '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

export function vectorBytes({ hex, repeat }: VectorBytes): Uint8Array {
  return fromHex(hex + (repeat?.hex ?? '').repeat(repeat?.times ?? 0));
}

/** The value with hex for bytes and nothing that JSON does not have. */
export function toPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toPlain(entry)]));
}

const WIDTH = 120;

/** JSON as the formatter of the project leaves it: objects on lines of their own, short lists on one. */
export function formatVectors(vectors: readonly Vector[]): string {
  return `${format(vectors, '', 0)}\n`;
}

/** `before` is what stands on the line already. */
function format(value: unknown, indent: string, before: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const line = value.length === 0 ? '[]' : inline(value);
    if (line !== null && indent.length + before + line.length < WIDTH) return line;
    return `[\n${value.map((item) => inner + format(item, inner, 0)).join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, entry]) => {
    const head = `${JSON.stringify(key)}: `;
    return inner + head + format(entry, inner, head.length);
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

function inline(list: readonly unknown[]): string | null {
  const nested = list.filter((item) => Array.isArray(item));
  if (list.some((item) => typeof item === 'object' && item !== null && !Array.isArray(item))) return null;
  if (list.length > 1 && nested.length === list.length && nested.every((item) => item.length > 1)) return null;
  const items = list.map((item) => (Array.isArray(item) ? inline(item) : JSON.stringify(item)));
  return items.includes(null) ? null : `[${items.join(', ')}]`;
}
