// The command lines of what comes with the tests.

import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What was given, or what is wrong with it in one sentence. */
export function readArguments<const T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> | string {
  try {
    return parseArgs(config);
  } catch (error) {
    // Its sentences name the option; what follows the first is a hint on escaping that does not help here.
    const [sentence = 'The options are not understood'] = (error instanceof Error ? error.message : '').split('. ');
    return `${sentence}. See --help.`;
  }
}

/** A whole number above 0. */
export function isCount(text: string): boolean {
  return /^[1-9]\d{0,8}$/u.test(text);
}
