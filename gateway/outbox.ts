// The control frames of a session that wait to be sent: welcome, replies, attached, refused, heartbeat, drain.
//
// Events are not in it: they stay in the logs and the session holds a cursor. So the outbox is small, and what makes it
// grow is a client that asks without reading.

export class Outbox {
  #frames: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  push(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** The oldest frames, in order, of at most `bytesMax` together; one at least when there is one. */
  take(bytesMax: number): Uint8Array[] {
    let count = 0;
    let bytes = 0;
    for (const frame of this.#frames) {
      if (count > 0 && bytes + frame.length > bytesMax) break;
      count += 1;
      bytes += frame.length;
    }
    this.#bytes -= bytes;
    return this.#frames.splice(0, count);
  }

  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }
}
