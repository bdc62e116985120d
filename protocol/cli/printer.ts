// From actions to the characters of a transcript. It knows two things about the screen: whether a line is open, and how
// many columns there are.
import type { BlockType } from '../content.ts';
import { unreachable } from '../assert.ts';
import type { Action } from './action.ts';
import { ELLIPSIS, fitColumns, takeColumns } from './columns.ts';
import type { Style } from './style.ts';

export const USER_MARK = '› ';
export const CALL_MARK = '→ ';

/** Of what belongs on one row, where the screen is wider than that, or is none. */
const COLUMNS_MAX = 160;
/** Below that nothing is readable anyway. */
const COLUMNS_MIN = 20;

export class Printer {
  readonly #style: Style;
  readonly #columnsNow: () => number;
  #lineOpen = false;
  /** The block printed last, when nothing but blocks came since. */
  #block: BlockType | null = null;
  /** Columns left in the row of the call that is open, but one for the ellipsis; null when its row is full. */
  #room: number | null = null;

  /** `columns`: of the terminal, asked each time; what is none is taken for a wide one. */
  constructor(style: Style, columns: () => number = () => COLUMNS_MAX) {
    this.#style = style;
    this.#columnsNow = columns;
  }

  /** The cursor stands behind text on its line. */
  get lineOpen(): boolean {
    return this.#lineOpen;
  }

  print(actions: readonly Action[]): string {
    return actions.map((action) => this.#print(action)).join('');
  }

  /** Ends an open line; to be called before anybody else writes to the terminal. What comes is behind no block then. */
  endLine(): string {
    this.#block = null;
    return this.#endLine();
  }

  #endLine(): string {
    const text = this.#lineOpen ? '\n' : '';
    this.#lineOpen = false;
    return text;
  }

  #print(action: Action): string {
    switch (action.kind) {
      case 'line': {
        const before = this.#endLine();
        this.#block = null;
        const text = action.tone === 'user' ? `${USER_MARK}${action.text}` : action.text;
        const fitting = action.fit === true ? fitColumns(text, this.#columns()) : text;
        return `${before}${this.#style.tone(action.tone, fitting)}\n`;
      }
      case 'begin': {
        // A blank line sets blocks apart, as in the markdown that they are.
        const before = this.#endLine() + (this.#block === null ? '' : '\n');
        this.#block = action.block;
        return before;
      }
      case 'call': {
        const before = this.#endLine();
        this.#block = null;
        this.#lineOpen = true;
        const { text, left } = takeColumns(`${CALL_MARK}${action.label} `, this.#columns() - 1);
        this.#room = left;
        return before + this.#style.tone('dim', text);
      }
      case 'stream':
        if (action.block === 'tool_call') return this.#printArguments(action.text);
        if (action.text !== '') this.#lineOpen = !action.text.endsWith('\n');
        return action.block === 'reasoning' ? this.#style.reasoning(action.text) : action.text;
      case 'end':
        return this.#endLine();
      default:
        return unreachable(action);
    }
  }

  #printArguments(args: string): string {
    if (this.#room === null || !this.#lineOpen) return '';
    const { text, left } = takeColumns(args, this.#room);
    const full = text.length < args.length;
    this.#room = full ? null : left;
    return this.#style.tone('dim', full ? text + ELLIPSIS : text);
  }

  #columns(): number {
    return Math.max(COLUMNS_MIN, Math.min(COLUMNS_MAX, this.#columnsNow()));
  }
}
