// Assertions that stay on in production: a bug is an exception with a sentence, never a silent wrong state.

/** Thrown for a bug of ours. It crashes the actor or the session that it happens in, never the node. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws when `condition` does not hold; `sentence` says what should have been true. */
export function assert(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new AssertionError(sentence);
}

/** Gives `value` when it is there; `why` says what guarantees that it is. */
export function must<T>(value: T | null | undefined, why: string): T {
  if (value === null || value === undefined) throw new AssertionError(why);
  return value;
}

/** Ends a switch over a union: the compiler refuses it as long as a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`a value outside its union: ${JSON.stringify(value)}`);
}
