// Ids for tests.

import { must } from '../../protocol/assert.ts';
import { parseUuid } from '../../protocol/ids.ts';

/** The id written in a test. */
export function mustUuid<T extends string>(text: string): T {
  return must(parseUuid<T>(text), `${text} is a UUID`);
}
