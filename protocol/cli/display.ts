// Where an interactive session shows what happens: a terminal or a pipe (screen.ts), or JSON lines beside this.
import { createInterface, type Interface } from 'node:readline';
import type { Action } from './action.ts';
import type { Line } from './wording.ts';

export type Handlers = {
  /** A line was entered. */
  onLine(line: string): void;
  /** Ctrl-C. `typed`: something stood at the prompt; it has been cleared. */
  onInterrupt(typed: boolean): void;
  /** The input has ended (Ctrl-D, or the end of a file). */
  onEnd(): void;
};

export type Display = {
  print(actions: readonly Action[]): void;
  /** Shows the prompt, where there is one. */
  prompt(): void;
  /** Takes the prompt away, unless somebody is typing. */
  unprompt(): void;
  /** What the spinner says; null for none. */
  wait(what: string | null): void;
  close(): void;
};

/** For `--json`: standard output belongs to the JSON lines, what a person must know goes to standard error. */
export class QuietDisplay implements Display {
  readonly #lines: Interface;
  readonly #say: (line: Line) => void;

  constructor(input: NodeJS.ReadStream, say: (line: Line) => void, handlers: Handlers) {
    this.#say = say;
    this.#lines = createInterface({ input, terminal: false });
    this.#lines.on('line', (line) => handlers.onLine(line));
    this.#lines.on('close', () => handlers.onEnd());
  }

  print(actions: readonly Action[]): void {
    for (const action of actions) if (action.kind === 'line' && action.tone !== 'user') this.#say(action);
  }

  prompt(): void {}

  unprompt(): void {}

  wait(): void {}

  close(): void {
    this.#lines.close();
  }
}
