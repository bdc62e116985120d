// The tools that this terminal offers to the model with `--tools`. They look at nothing but the clock, and change nothing.
import type { ClientTool, ToolDeclaration } from '../client/index.ts';

/** How a question is put to the person; rejects when they do not answer. */
export type Ask = (question: string, signal: AbortSignal) => Promise<string>;

const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };

const LOCAL_TIME: ClientTool = {
  name: 'local_time',
  description: 'The date and the time where the user is, with their time zone.',
  schema: NO_ARGUMENTS,
  run: () => new Date().toString(),
};

const ASK_USER: ToolDeclaration = {
  name: 'ask_user',
  description: 'Asks the user one question and gives their answer. For what only they can know or decide.',
  schema: {
    type: 'object',
    properties: { question: { type: 'string', description: 'One short question.' } },
    required: ['question'],
    additionalProperties: false,
  },
};

/** With `ask`, of a person who is there. */
export function localTools(ask: Ask | null): readonly ClientTool[] {
  return ask === null ? [LOCAL_TIME] : [askUser(ask), LOCAL_TIME];
}

/** What a chat is created with, so that the model may call them. */
export function declaredTools({ isPersonThere }: { readonly isPersonThere: boolean }): readonly ToolDeclaration[] {
  return isPersonThere ? [ASK_USER, LOCAL_TIME] : [LOCAL_TIME];
}

function askUser(ask: Ask): ClientTool {
  return {
    ...ASK_USER,
    run: ({ question }, { signal }) => {
      if (typeof question !== 'string' || question.trim() === '') throw new TypeError('question: a text is needed.');
      return ask(question, signal);
    },
  };
}
