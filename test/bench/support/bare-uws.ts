// uWebSockets.js with nothing around it: what the gateway is compared with. Besides gateway/uws.ts the one file that
// imports it.

// oxlint-disable-next-line no-restricted-imports -- see above
import { App, type WebSocket } from 'uWebSockets.js';

export type BareSocket = WebSocket<object>;

export type BareHandlers = {
  opened(socket: BareSocket): void;
  drained?(socket: BareSocket): void;
  message?(socket: BareSocket, bytes: ArrayBuffer): void;
  closed(socket: BareSocket): void;
};

/** Listens on 127.0.0.1, at every path. */
export function listenBare(port: number, handlers: BareHandlers): Promise<void> {
  return new Promise((resolve, reject) => {
    App()
      .ws<object>('/*', {
        maxBackpressure: 64 * 1024 * 1024,
        idleTimeout: 60,
        open: (socket) => handlers.opened(socket),
        drain: (socket) => handlers.drained?.(socket),
        message: (socket, bytes) => handlers.message?.(socket, bytes),
        close: (socket) => handlers.closed(socket),
      })
      .listen('127.0.0.1', port, (listening) => {
        if (listening === false) reject(new Error(`port ${port} is taken`));
        else resolve();
      });
  });
}
