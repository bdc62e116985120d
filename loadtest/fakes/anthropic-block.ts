// Content blocks as the Anthropic API reads them.

export type Block = { readonly type: string; readonly [key: string]: unknown };
export type Turn = { readonly role: 'user' | 'assistant'; readonly blocks: readonly Block[] };

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys in order and without cache markers, which are no part of what a prompt says. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${(value as unknown[]).map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const keys = Object.keys(value).filter((key) => key !== 'cache_control');
  return `{${keys
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
    .join(',')}}`;
}
