// What a run of the fuzz has done and compared, so that a run that looked at nothing is seen.

export class Tally {
  readonly acts: Record<string, number> = {};
  /** By what became of them: ok, or the code of the refusal. */
  readonly replies: Record<string, number> = {};
  /** Calls by how they were settled. */
  readonly calls: Record<string, number> = {};
  /** Attempts by what they were for and how they ended. */
  attempts: Record<string, number> = {};
  /** Fork events by their reason. */
  readonly forks: Record<string, number> = {};
  sequences = 0;
  /** Requests that the pairing validator and the rules of a fake server took. */
  requests = 0;
  /** Requests that were held against the one before them (P8). */
  prefixes = 0;
  /** Texts of users, and of the model, whose place in the end was looked for. */
  texts = 0;
  /** A client that follows against one that has just come. */
  compared = 0;
  readonly cache = { prompt: 0, read: 0, readable: 0 };

  /** `kill -9` of a node in a process of its own. */
  kills = 0;

  count(what: 'acts' | 'replies' | 'calls' | 'attempts' | 'forks', key: string, by = 1): void {
    this[what][key] = (this[what][key] ?? 0) + by;
  }
}
