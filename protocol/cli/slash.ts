// What a person types at the prompt: a message, or a command that begins with a slash.

import { EDIT_HELP, parseEdit, type EditInput } from './slash-edits.ts';
import { parseTool, TOOL_HELP, type ToolInput } from './slash-tools.ts';

export type Input =
  | EditInput
  | ToolInput
  | { readonly kind: 'nothing' }
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'new'; readonly title: string | null }
  | { readonly kind: 'list'; readonly archived: boolean }
  /** A number of the last `/list`, an id, or the beginning of one. */
  | { readonly kind: 'open'; readonly which: string }
  | { readonly kind: 'history'; readonly count: number }
  | { readonly kind: 'rename'; readonly title: string }
  | { readonly kind: 'read' }
  | { readonly kind: 'archive' }
  | { readonly kind: 'unarchive' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'compact' }
  | { readonly kind: 'help' }
  | { readonly kind: 'quit' }
  | { readonly kind: 'wrong'; readonly why: string };

export const HISTORY_DEFAULT = 20;
const HISTORY_MAX = 200;

export const SLASH_HELP: readonly string[] = [
  '/new [title]       open a new chat',
  '/list [archived]   your chats, the latest first; or those in the archive',
  '/open <n|id>       go on in a chat of the list',
  `/history [n]       the last n messages (${HISTORY_DEFAULT}), with their numbers`,
  '/rename <title>    give this chat a title',
  '/read              everything in this chat counts as read, on all your devices',
  '/archive           archive this chat, and with it those below it',
  '/unarchive         bring it back',
  '/compact           make this chat smaller for the model, by a summary',
  '/stop              stop the turn (as Ctrl-C does)',
  ...EDIT_HELP,
  ...TOOL_HELP,
  '/help              this list',
  '/quit              leave (Ctrl-C twice, Ctrl-D)',
  '//text             a message that begins with a slash',
  '/script help       what the scripted model can be told, when it is the one that answers',
];

/** Never fails: what is no command comes back as `wrong` with a sentence. */
export function parseInput(line: string): Input {
  const text = line.trim();
  if (text === '') return { kind: 'nothing' };
  if (text.startsWith('//')) return { kind: 'message', text: text.slice(1) };
  if (!text.startsWith('/')) return { kind: 'message', text };
  const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/s.exec(text) ?? [];
  // The scripted model's own commands are messages to it.
  return name === 'script' ? { kind: 'message', text } : parseCommand(name, rest);
}

function parseCommand(name: string, rest: string): Input {
  switch (name) {
    case 'new':
      return { kind: 'new', title: rest === '' ? null : rest };
    case 'open':
      return rest === ''
        ? wrong('Say which: /open 2, or /open and the beginning of an id.')
        : { kind: 'open', which: rest };
    case 'history':
      return parseHistory(rest);
    case 'rename':
      return rest === '' ? wrong('Say the title: /rename My trip.') : { kind: 'rename', title: rest };
    case 'list':
      if (rest !== '' && rest !== 'archived') return wrong('Say /list, or /list archived.');
      return { kind: 'list', archived: rest === 'archived' };
    case 'read':
    case 'archive':
    case 'unarchive':
    case 'stop':
    case 'compact':
    case 'help':
    case 'quit':
      return rest === '' ? { kind: name } : wrong(`/${name} takes nothing behind it.`);
    case 'exit':
      return { kind: 'quit' };
    default: {
      const other = parseEdit(name, rest) ?? parseTool(name, rest);
      if (typeof other === 'string') return wrong(other);
      return other ?? wrong(`There is no command /${name}.`);
    }
  }
}

function parseHistory(rest: string): Input {
  if (rest === '') return { kind: 'history', count: HISTORY_DEFAULT };
  const count = Number(rest);
  return Number.isInteger(count) && count >= 1 && count <= HISTORY_MAX
    ? { kind: 'history', count }
    : wrong(`/history takes a number from 1 to ${HISTORY_MAX}.`);
}

function wrong(why: string): Input {
  return { kind: 'wrong', why };
}
