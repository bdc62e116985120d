/** What stands for a user's message without a visible character: providers refuse blank text, and the turn must go on. */
export const BLANK_MESSAGE = '(an empty message)';
