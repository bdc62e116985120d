// A client's connection as a session sees it: three calls, so that the simulation can play one.

export type ClientSocket = {
  /** One binary WebSocket message. Copies the bytes before it returns. Never called after `end`. */
  send(bytes: Uint8Array): void;
  /** Bytes given to `send` that the operating system has not taken yet. */
  bufferedBytes(): number;
  /** Sends a close frame behind what is buffered and gives the connection up. */
  end(code: number, reason: string): void;
};
