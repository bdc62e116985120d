// Looks at the heap behind each major collection: what is used then is held, and not only left lying.

import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

/** The limit that V8 tells has room for what is young in it: three semi-spaces of 16 MiB. What is held has to do without. */
const YOUNG_BYTES = 3 * 16 * 1024 * 1024;

/** An entry of the type `gc`, as `node:perf_hooks` documents it. */
type Collection = { readonly detail: { readonly kind: number } };

/** `onHeld` is told the share of the room for what lasts that is taken. The function returned ends it. */
export function watchHeap(onHeld: (share: number) => void): () => void {
  const observer = new PerformanceObserver((list) => {
    const collections = list.getEntries() as readonly (PerformanceEntry & Partial<Collection>)[];
    if (!collections.some(({ detail }) => detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR)) return;
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    onHeld(used / (limit - YOUNG_BYTES));
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}
