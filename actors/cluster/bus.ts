// What the nodes need of whatever carries their messages: one port with two implementations, in process and NATS, and one
// contract suite for both. It delivers at most once: what is published while a connection is being lost is gone without
// a word, so whoever needs more numbers its messages or asks again.

export type Bus = {
  /** Messages go out and come in now, as far as this end knows: an end that was cut off silently is noticed in seconds. */
  readonly connected: boolean;
  /** The largest message. */
  readonly messageBytesMax: number;
  /**
   * Messages of one publisher on one subject arrive in their order. False, and then nothing is ever delivered of it, while
   * there is no connection. True says nothing about delivery. `bytes` belong to the bus from here on.
   */
  publish(subject: string, bytes: Uint8Array): boolean;
  /** `onMessage` must not throw, and returns soon: there is no queue between. The bytes are the reader's. */
  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void;
  /** `listener` is told each change of `connected`. */
  watch(listener: (connected: boolean) => void): () => void;
  /** Resolves when nothing is delivered any more; what was published before has left. */
  close(): Promise<void>;
};
