/** What stands for a user's message without a visible character: providers refuse blank text, and the turn must go on. */
export const BLANK_MESSAGE = '(an empty message)';

/** What stands for the output of a tool that gave none. */
export const NO_OUTPUT = '(no output)';
