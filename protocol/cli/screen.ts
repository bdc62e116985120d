// The terminal of an interactive session: a transcript, a spinner and a prompt that share one cursor.
//
// It is in one of two states. Open: text streams at the cursor, a spinner may stand at an empty line. Prompting: the
// prompt with what was typed is the last thing on the screen; whole lines are printed above it, and an unfinished line is
// held until it ends or the prompt is left. Typing while text streams turns the first state into the second.
//
// On anything but a terminal there is neither prompt nor spinner.
import { Writable } from 'node:stream';
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import type { Action } from './action.ts';
import type { Display, Handlers } from './display.ts';
import { Printer, USER_MARK } from './printer.ts';
import type { Style } from './style.ts';

export type ScreenStreams = {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
};

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const SPINNER_MS = 100;

export class Screen implements Display {
  readonly #output: NodeJS.WriteStream;
  readonly #style: Style;
  readonly #printer: Printer;
  readonly #lines: Interface;
  readonly #isTerminal: boolean;
  #prompting = false;
  /** What came while prompting and has no end of line yet. */
  #held = '';
  #waitingFor: string | null = null;
  #spinner: NodeJS.Timeout | null = null;
  #spun = 0;
  #spinnerDrawn = false;
  #closed = false;

  constructor(streams: ScreenStreams, style: Style, handlers: Handlers) {
    this.#output = streams.output;
    this.#style = style;
    this.#isTerminal = streams.output.isTTY && streams.input.isTTY;
    this.#printer = streams.output.isTTY ? new Printer(style, () => streams.output.columns) : new Printer(style);
    this.#lines = createInterface({
      input: streams.input,
      output: this.#isTerminal ? this.#echo() : new Writable({ write: (_chunk, _encoding, done) => done() }),
      terminal: this.#isTerminal,
      prompt: USER_MARK,
      historySize: 200,
    });
    this.#lines.on('line', (line) => {
      this.#leavePrompt();
      handlers.onLine(line);
    });
    this.#lines.on('SIGINT', () => {
      const typed = this.#lines.line !== '';
      if (typed) this.#lines.write(null, { ctrl: true, name: 'e' });
      if (typed) this.#lines.write(null, { ctrl: true, name: 'u' });
      handlers.onInterrupt(typed);
    });
    this.#lines.on('close', () => {
      this.#closed = true;
      handlers.onEnd();
    });
  }

  print(actions: readonly Action[]): void {
    if (actions.length === 0) return;
    this.#write(this.#printer.print(actions));
  }

  /** Shows the prompt, when there is a terminal to type at. */
  prompt(): void {
    if (!this.#isTerminal || this.#prompting || this.#closed) return;
    this.#eraseSpinner();
    this.#output.write(this.#printer.endLine());
    this.#prompting = true;
    this.#lines.prompt(true);
  }

  /** Takes the prompt away until text has streamed, unless somebody is typing. */
  unprompt(): void {
    if (!this.#prompting || this.#lines.line !== '') return;
    this.#erasePrompt();
    this.#leavePrompt();
  }

  /** What the spinner says; null for none. */
  wait(what: string | null): void {
    if (!this.#isTerminal || this.#closed || what === this.#waitingFor) return;
    this.#eraseSpinner();
    this.#waitingFor = what;
    if (what === null) {
      if (this.#spinner !== null) clearInterval(this.#spinner);
      this.#spinner = null;
      return;
    }
    this.#spinner ??= setInterval(() => this.#spin(), SPINNER_MS);
    this.#spin();
  }

  close(): void {
    this.wait(null);
    if (this.#prompting) this.#erasePrompt();
    this.#leavePrompt();
    this.#output.write(this.#printer.endLine());
    this.#closed = true;
    this.#lines.close();
  }

  /** Where readline echoes to: the first key that is typed while text streams opens the prompt. */
  #echo(): Writable {
    const output = this.#output;
    const echo = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#prompting && !this.#closed) {
          this.#eraseSpinner();
          output.write(this.#printer.endLine() + USER_MARK);
          this.#prompting = true;
        }
        output.write(chunk);
        done();
      },
    });
    output.on('resize', () => echo.emit('resize'));
    return Object.defineProperties(echo, {
      columns: { get: () => output.columns },
      rows: { get: () => output.rows },
      isTTY: { value: true },
    });
  }

  #write(text: string): void {
    if (!this.#prompting) {
      this.#eraseSpinner();
      this.#output.write(text);
      return;
    }
    this.#held += text;
    const end = this.#held.lastIndexOf('\n') + 1;
    if (end === 0) return;
    const whole = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    this.#erasePrompt();
    // Readline first moves up by the rows that it last drew (after a paste not those of the cursor): give it as many.
    const drawnRows: unknown = Reflect.get(this.#lines, 'prevRows');
    this.#output.write(whole + '\n'.repeat(typeof drawnRows === 'number' ? drawnRows : 0));
    this.#lines.prompt(true);
  }

  #erasePrompt(): void {
    moveCursor(this.#output, 0, -this.#lines.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }

  #leavePrompt(): void {
    this.#prompting = false;
    this.#output.write(this.#held);
    this.#held = '';
  }

  #spin(): void {
    if (this.#prompting || this.#printer.lineOpen || this.#waitingFor === null) return;
    const frame = SPINNER[this.#spun++ % SPINNER.length] ?? '';
    cursorTo(this.#output, 0);
    this.#output.write(this.#style.tone('dim', `${frame} ${this.#waitingFor}`));
    this.#spinnerDrawn = true;
  }

  #eraseSpinner(): void {
    if (!this.#spinnerDrawn) return;
    this.#spinnerDrawn = false;
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }
}
