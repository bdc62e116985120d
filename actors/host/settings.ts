// Limits of the host: how many chats are active, and how their actors come and go.

export type HostSettings = {
  /** Actors in memory at once. More: the longest unused at rest leave; if there is none, `unavailable`. */
  readonly residentMax: number;
  /** An actor at rest that nobody follows leaves memory after this time. */
  readonly passivateAfterMs: number;
  /** How long a node that goes down waits for turns to end; what runs then is taken up again by whoever comes next. */
  readonly drainMs: number;
};

export const HOST_DEFAULTS: HostSettings = { residentMax: 20_000, passivateAfterMs: 120_000, drainMs: 5_000 };

export const HOST_LIMITS = {
  /** The rings of all chats and mirrors of a node. More: those over their equal share give up their oldest. */
  ringsBytes: 512 * 1024 * 1024,
  /** Chats activated in one round to storage. */
  activationBatch: 100,
  /** Activations that wait. More: `unavailable`. */
  activationsWaiting: 10_000,
  /** Asking the next actor when one ends under a command or an attach. */
  triesMax: 5,
  /** Crashes within the window after which a chat's turn is given up (P12). */
  crashesMax: 3,
  crashWindowMs: 60_000,
  /** Chats whose crashes are remembered; more: the oldest are forgotten. */
  crashedChats: 1_000,
  /** First wait before a running chat is loaded again after its actor ended; doubles up to the ceiling. */
  reviveBaseMs: 100,
  reviveCeilingMs: 10_000,
  /** Of the time to drain, the last part over which turns that still run are given up one after the other. */
  drainSpread: 0.4,
  sweepEveryMs: 5_000,
  /** Share of the heap that may be held behind a collection. More: chats at rest leave before their time. */
  heapHeld: 0.7,
  /** Of the chats at rest that nobody follows, the longest unused part that leaves then; the next collection says whether it was enough. */
  heapRelief: 0.25,
  /** How long a chat is kept at rest for another node, which archives it with its tree meanwhile. */
  restHeldMs: 2_000,
  /** Between two looks, among other nodes, for actors whose epoch is over. */
  overtakenEveryMs: 15_000,
  /** Running or due chats taken over in one scan; those of the next one wait until all of these are loaded. */
  dueBatch: 500,
  dueEveryMs: 30_000,
  /** Until the next scan when storage could not answer the last one. */
  dueAgainMs: 1_000,
  /** Until anybody takes up what was left to the nodes that should have it: they may be starting, or on their way out. */
  leftAgainMs: 150,
} as const;
