// The loop of a baseline: one turn per turn of the event loop, as fast as it goes, while the readers keep up.

/** Does a turn; false: the next one has to wait for `goOn`. */
export type Turn = (turn: number) => boolean;

export class Turns {
  #next: (() => void) | null = null;
  #waits = false;

  /** Turns 0 to `count` − 1, over and over. */
  run(count: number, task: Turn): void {
    let turn = 0;
    this.#next = () => {
      const goesOn = task(turn);
      turn = (turn + 1) % count;
      if (goesOn) setImmediate(() => this.#next?.());
      else this.#waits = true;
    };
    this.#next();
  }

  goOn(): void {
    if (!this.#waits) return;
    this.#waits = false;
    setImmediate(() => this.#next?.());
  }

  cpuMs(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }
}
