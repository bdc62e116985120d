// The prompt ledger of one chat as its requests show it: each begins with the one before, unless the log says why not (P8).

import type { ModelRequest } from '../../actors/ports.ts';

/** `first`: there was none before it, or the log says that it is another. */
type Continuation =
  | { readonly outcome: 'first' | 'continued' }
  | { readonly outcome: 'another'; readonly fault: string };

export class PromptLedger {
  #before: readonly string[] | null = null;

  /** A fork event stands in the log: the next request may be another. */
  fork(): void {
    this.#before = null;
  }

  /** Whether the next request goes on where the one before ended, or what is wrong with it. */
  next(request: ModelRequest): Continuation {
    const before = this.#before;
    const now = canonical(request);
    this.#before = now;
    if (before === null) return { outcome: 'first' };
    const at = before.findIndex((entry, i) => entry !== now[i]);
    if (at === -1) return { outcome: 'continued' };
    const fault = `[P8] entry ${at} of the request was ${before[at]?.slice(0, 300)} and is ${now[at]?.slice(0, 300)}`;
    return { outcome: 'another', fault };
  }
}

/** Tools, system, then items with their roles: as they were stored, bytes of providers included. */
function canonical({ tools, system, items }: ModelRequest): readonly string[] {
  return [
    ...tools.map((tool) => JSON.stringify(tool)),
    ...system.map((text) => JSON.stringify(text)),
    ...items.map(({ role, parts, provider }) =>
      JSON.stringify([role, parts, provider === null ? null : Buffer.from(provider.json).toString()]),
    ),
  ];
}
