// What a process holds, after everything that nobody needs any more has been collected.

export type Memory = { readonly residentBytes: number; readonly heapBytes: number };

/** Collects until it no longer gets less; the process was started with --expose-gc. */
export async function memory(): Promise<Memory> {
  let { rss, heapUsed } = process.memoryUsage();
  for (let pass = 0; pass < 5; pass++) {
    // The collection of last resort also gives free pages back: what is left of a warm-up would hide what comes after it.
    await globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
    // What finalizers let go is free in the next pass.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const now = process.memoryUsage();
    rss = Math.min(rss, now.rss);
    heapUsed = Math.min(heapUsed, now.heapUsed);
  }
  return { residentBytes: rss, heapBytes: heapUsed };
}
