// What the client takes from its surroundings. The defaults are globals that browsers and Node 22 share; tests and the
// simulation hand in their own and step them.

import type { ClientError } from './errors.ts';
import { clientError } from './errors.ts';

export type ClientClock = {
  /** Unix milliseconds. */
  nowMs(): number;
  /** Runs `task` once after `delayMs`; the function returned takes that back. */
  after(delayMs: number, task: () => void): () => void;
};

export type ClientRandom = {
  bytes(length: number): Uint8Array;
  /** In [0, 1). */
  fraction(): number;
};

/** The part of the standard WebSocket that is used here; the ones of browsers, of Node 22 and of the package ws fit. */
export type WebSocketLike = {
  binaryType: string;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
};

export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike;

/** `setTimeout` keeps the delay in 32 bits and fires at once above that. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: ClientClock = {
  nowMs: () => Date.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, Math.min(delayMs, TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
};

export const SYSTEM_RANDOM: ClientRandom = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => Math.random(),
};

/** The global WebSocket, or an error that says what to do where there is none. */
export function systemWebSocket(): WebSocketConstructor | ClientError {
  return typeof WebSocket === 'function'
    ? WebSocket
    : clientError('no_websocket', 'This runtime has no WebSocket. Hand one in as the option webSocket.');
}
