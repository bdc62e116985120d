// A terminal that is looked at: it interprets what a program writes as a screen does, so that a test says what a person
// sees and not which bytes were sent. It knows what Node's readline and the terminal client use: CR, LF, cursor up,
// to a column, erase down and to the end of the line; colours are dropped.
import { PassThrough, Writable } from 'node:stream';

export class VirtualTerminal extends Writable {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows = 24;
  readonly keyboard = new Keyboard();
  #lines: string[] = [''];
  #row = 0;
  #column = 0;
  readonly #watchers = new Set<() => void>();

  constructor(columns = 40) {
    super({ decodeStrings: false });
    this.columns = columns;
  }

  /** The screen's lines as they are seen, without blanks at their ends. */
  get screen(): string[] {
    return this.#lines.map((line) => line.trimEnd());
  }

  /** Everything that is seen, and where the cursor stands, as `|`. */
  get picture(): string {
    return this.#lines
      .map((line, row) =>
        row === this.#row ? `${line.padEnd(this.#column).slice(0, this.#column)}|${line.slice(this.#column)}` : line,
      )
      .map((line) => line.trimEnd())
      .join('\n');
  }

  /** Resolves when `text` is to be seen. */
  shows(text: string): Promise<void> {
    return this.until(() => this.#lines.some((line) => line.includes(text)));
  }

  /** Resolves when what is to be seen fits. */
  until(fits: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watch = (): void => {
        if (!fits()) return;
        this.#watchers.delete(watch);
        resolve();
      };
      this.#watchers.add(watch);
      watch();
    });
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: () => void): void {
    const text = chunk.toString();
    for (const [token, parameters, final] of text.matchAll(/\u001b\[([\d;?]*)([A-Za-z])|[^]/g)) {
      if (final === undefined) this.#put(token);
      else this.#control(final, Number(parameters || '0'));
    }
    done();
    for (const watch of this.#watchers) watch();
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#down();
    else {
      if (this.#column === this.columns) this.#down();
      const line = this.#lines[this.#row] ?? '';
      this.#lines[this.#row] =
        line.slice(0, this.#column).padEnd(this.#column) + character + line.slice(this.#column + 1);
      this.#column += 1;
    }
  }

  #down(): void {
    this.#row += 1;
    this.#column = 0;
    this.#lines[this.#row] ??= '';
  }

  #control(final: string, count: number): void {
    const line = this.#lines[this.#row] ?? '';
    if (final === 'A') this.#row = Math.max(0, this.#row - Math.max(1, count));
    else if (final === 'B') this.#row += Math.max(1, count);
    else if (final === 'C') this.#column += Math.max(1, count);
    else if (final === 'D') this.#column = Math.max(0, this.#column - Math.max(1, count));
    else if (final === 'G') this.#column = Math.max(0, count - 1);
    else if (final === 'J') this.#lines = [...this.#lines.slice(0, this.#row), line.slice(0, this.#column)];
    else if (final === 'K') this.#lines[this.#row] = line.slice(0, this.#column);
    else if (final !== 'm' && final !== 'h' && final !== 'l')
      throw new Error(`the terminal does not know CSI ${final}`);
  }
}

/** Keys for readline. */
export class Keyboard extends PassThrough {
  readonly isTTY = true;
  isRaw = false;

  setRawMode(mode: boolean): this {
    this.isRaw = mode;
    return this;
  }

  /** Resolves when the keys have been handled. */
  async type(keys: string): Promise<void> {
    this.write(keys);
    await new Promise((done) => {
      setImmediate(done);
    });
  }
}
