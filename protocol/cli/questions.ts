// Questions of the model to the person at this terminal, asked through a tool of this client's: the line that is typed
// next answers the oldest one. Bounded by the calls that the chat lets wait.

type Question = { readonly text: string; readonly resolve: (answer: string) => void; readonly drop: () => void };

export class Questions {
  readonly #open = new Set<Question>();
  readonly #show: (text: string) => void;
  readonly #dropped: (text: string) => void;

  /** `show` puts a question to the person; `dropped` says that it is not asked any more. */
  constructor(show: (text: string) => void, dropped: (text: string) => void) {
    this.#show = show;
    this.#dropped = dropped;
  }

  /** Whether the next line that is typed is an answer. */
  get areOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Resolves with what the person says; rejects when they leave it unanswered, or `signal` is aborted. */
  ask(text: string, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#open.delete(question);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        settle();
        reject(new Error('The question is not asked any more.'));
        this.#dropped(text);
      };
      const question: Question = {
        text,
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        drop: () => {
          settle();
          reject(new Error('The user did not answer.'));
        },
      };
      signal.addEventListener('abort', onAbort);
      this.#open.add(question);
      this.#show(text);
    });
  }

  /** Gives the answer to the oldest question; false when none is open. */
  answer(text: string): boolean {
    const [oldest] = this.#open;
    oldest?.resolve(text);
    return oldest !== undefined;
  }

  /** Leaves the oldest question unanswered; false when none is open. */
  leave(): boolean {
    const [oldest] = this.#open;
    oldest?.drop();
    return oldest !== undefined;
  }
}
