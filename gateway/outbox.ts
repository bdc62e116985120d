// The control frames of a session that wait for the next flush: welcome, replies, attached, refused, heartbeat, drain.
//
// Events are not in it: they stay in the logs and the session holds a cursor. So the outbox is small, and what makes it
// grow is a client that asks without reading.

export class Outbox {
  #frames: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** All frames in order; the outbox is empty afterwards. */
  take(): Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }
}
