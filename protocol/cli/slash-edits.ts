// The commands that change what a chat holds and what waits in it.

/** `number`: of a message, as `/history` shows it; null: the last one that fits. */
export type EditInput =
  | { readonly kind: 'edit'; readonly number: number | null; readonly text: string }
  | { readonly kind: 'fork'; readonly number: number | null }
  | { readonly kind: 'retry' }
  | { readonly kind: 'clear' }
  /** Null: which there are. */
  | { readonly kind: 'model'; readonly model: string | null }
  | { readonly kind: 'queue'; readonly what: QueueInput };

/** `at`: the place in the queue, from 1. */
export type QueueInput =
  | { readonly do: 'show' }
  | { readonly do: 'hold' | 'release' | 'delete' | 'send'; readonly at: number }
  | { readonly do: 'edit'; readonly at: number; readonly text: string }
  | { readonly do: 'order'; readonly places: readonly number[] };

export const EDIT_HELP: readonly string[] = [
  '/edit [#n] <text>  put this in the place of your last message, or of message n; what came behind it leaves',
  '/retry             have your last message answered again',
  '/fork [#n]         go on in a new chat that begins with everything up to here, or up to message n',
  '/clear             from here on the model sees nothing of what was before',
  '/model [name]      the model of the next turn; without a name: which there are',
  '/queue             what waits behind the turn',
  '/queue edit <n> <text> · hold <n> · release <n> · delete <n> · send <n> (now) · order <n> <n> …',
];

const QUEUE_USAGE = 'Say /queue, or /queue edit 1 <text>, hold 1, release 1, delete 1, send 1, order 2 1.';

/** Null when there is no such command; a string says what is wrong with it. */
export function parseEdit(name: string, rest: string): EditInput | string | null {
  switch (name) {
    case 'edit': {
      const { number, behind } = numbered(rest);
      return behind === ''
        ? 'Say the new text: /edit hello, or /edit #3 hello.'
        : { kind: 'edit', number, text: behind };
    }
    case 'fork': {
      const { number, behind } = numbered(rest);
      return behind === '' ? { kind: 'fork', number } : 'Say /fork, or /fork #3.';
    }
    case 'retry':
    case 'clear':
      return rest === '' ? { kind: name } : `/${name} takes nothing behind it.`;
    case 'model':
      return { kind: 'model', model: rest === '' ? null : rest };
    case 'queue':
      return parseQueue(rest);
    default:
      return null;
  }
}

/** `#3 text`. */
function numbered(rest: string): { readonly number: number | null; readonly behind: string } {
  const [, number, behind = ''] = /^#(\d{1,15})\s*(.*)$/s.exec(rest) ?? [];
  return number === undefined ? { number: null, behind: rest } : { number: Number(number), behind };
}

function parseQueue(rest: string): EditInput | string {
  const [word = '', ...behind] = rest.split(/\s+/);
  const places = behind.map((text) => (/^\d{1,3}$/.test(text) ? Number(text) : 0));
  const [at = 0] = places;
  const areNumbers = places.length > 0 && places.every((place) => place > 0);
  switch (word) {
    case '':
      return { kind: 'queue', what: { do: 'show' } };
    case 'hold':
    case 'release':
    case 'delete':
    case 'send':
      return areNumbers && places.length === 1 ? { kind: 'queue', what: { do: word, at } } : QUEUE_USAGE;
    case 'order':
      return areNumbers ? { kind: 'queue', what: { do: 'order', places } } : QUEUE_USAGE;
    case 'edit': {
      const text = /^edit\s+\d{1,3}\s+(.+)$/s.exec(rest)?.[1] ?? '';
      return at > 0 && text !== '' ? { kind: 'queue', what: { do: 'edit', at, text } } : QUEUE_USAGE;
    }
    default:
      return QUEUE_USAGE;
  }
}
