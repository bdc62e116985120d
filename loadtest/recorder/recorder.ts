// Takes the records of all clients in the order in which they happen: to the checker at once, and to a file when asked.

import { closeSync, openSync, writeSync } from 'node:fs';
import { HistoryChecker, type Verdict } from '../check/checker.ts';
import { formatRecord, type HistoryRecord } from '../check/history.ts';

/** Written to the file in pieces of this many characters: what is not written yet is lost with the process. */
const PIECE_CHARS = 256 * 1024;

export class Recorder {
  readonly #checker = new HistoryChecker();
  readonly #file: number | null;
  #unwritten = '';

  /** `file`: where the history goes as JSON lines; null: it is judged and forgotten. */
  constructor(file: string | null) {
    this.#file = file === null ? null : openSync(file, 'w');
  }

  get looked(): HistoryChecker['looked'] {
    return this.#checker.looked;
  }

  add(record: HistoryRecord): void {
    this.#checker.add(record);
    if (this.#file === null) return;
    this.#unwritten += formatRecord(record);
    if (this.#unwritten.length >= PIECE_CHARS) this.#write(this.#file);
  }

  /** After the last record. */
  end(): Verdict {
    if (this.#file !== null) {
      this.#write(this.#file);
      closeSync(this.#file);
    }
    return this.#checker.end();
  }

  #write(file: number): void {
    writeSync(file, this.#unwritten);
    this.#unwritten = '';
  }
}
