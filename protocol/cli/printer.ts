// From actions to the characters of a transcript. It knows one thing about the screen: whether a line is open.
import type { BlockType } from '../content.ts';
import { unreachable } from '../assert.ts';
import type { Action } from './action.ts';
import type { Style } from './style.ts';

export const USER_MARK = '› ';

export class Printer {
  readonly #style: Style;
  #lineOpen = false;
  /** The block printed last, when nothing but blocks came since. */
  #block: BlockType | null = null;

  constructor(style: Style) {
    this.#style = style;
  }

  /** The cursor stands behind text on its line. */
  get lineOpen(): boolean {
    return this.#lineOpen;
  }

  print(actions: readonly Action[]): string {
    return actions.map((action) => this.#print(action)).join('');
  }

  /** Ends an open line; to be called before anybody else writes to the terminal. */
  endLine(): string {
    const text = this.#lineOpen ? '\n' : '';
    this.#lineOpen = false;
    return text;
  }

  #print(action: Action): string {
    switch (action.kind) {
      case 'line': {
        const before = this.endLine();
        this.#block = null;
        const text = action.tone === 'user' ? `${USER_MARK}${action.text}` : action.text;
        return `${before}${this.#style.tone(action.tone, text)}\n`;
      }
      case 'begin': {
        // A blank line sets blocks apart, as in the markdown that they are.
        const before = this.endLine() + (this.#block === null ? '' : '\n');
        this.#block = action.block;
        return before;
      }
      case 'stream':
        if (action.text !== '') this.#lineOpen = !action.text.endsWith('\n');
        return action.block === 'reasoning' ? this.#style.reasoning(action.text) : action.text;
      case 'end':
        return this.endLine();
      default:
        return unreachable(action);
    }
  }
}
