// Plays steps into an HTTP response, in real time, until they end or the client leaves.

import type { ServerResponse } from 'node:http';

import type { Chunks } from './scenario.ts';

export type Step =
  /** `event` null: a line of data alone. `at` says where in the answer it is, for failures that come there. */
  | { readonly do: 'event'; readonly event: string | null; readonly data: unknown; readonly at?: 'delta' | 'end' }
  /** Bytes as they are, whatever they are. */
  | { readonly do: 'bytes'; readonly bytes: Uint8Array }
  | { readonly do: 'wait'; readonly ms: number }
  /** The body ends in order; more steps are not looked at. */
  | { readonly do: 'end' }
  /** The socket is closed without the end of the body. */
  | { readonly do: 'close' }
  | { readonly do: 'reset' }
  /** Nothing more until the client leaves. */
  | { readonly do: 'silence'; readonly pingMs: number | null };

/** Odd, so that the cuts walk through every place of a multi-byte sequence. */
const SPLIT_BYTES = 7;
const JOINED_BYTES = 16 * 1024;
const RESET_DELAY_MS = 20;

const hungUp = new WeakSet<ServerResponse>();

/** The server ends the connection itself, without the end of the response. */
export function hangUp(response: ServerResponse, how: 'FIN' | 'RST'): void {
  hungUp.add(response);
  if (how === 'FIN') response.socket?.end();
  else response.socket?.resetAndDestroy();
}

/** Whether it was the server that left. */
export function wasHungUp(response: ServerResponse): boolean {
  return hungUp.has(response);
}

export type Stage = {
  readonly response: ServerResponse;
  readonly chunks: Chunks;
  /** What keeps a silent stream alive. */
  readonly ping: Uint8Array;
  /** Aborted when the client leaves or the server stops. */
  readonly gone: AbortSignal;
};

export function encodeEvent(name: string | null, data: unknown): Uint8Array {
  const head = name === null ? '' : `event: ${name}\n`;
  return new TextEncoder().encode(`${head}data: ${JSON.stringify(data)}\n\n`);
}

/** Resolves when the last step was played, or the client has left. The response has its headers already. */
export async function play(steps: Iterable<Step>, stage: Stage): Promise<void> {
  const writer = new ChunkWriter(stage);
  for (const step of steps) {
    if (stage.gone.aborted) return;
    switch (step.do) {
      case 'event':
        await writer.write(encodeEvent(step.event, step.data));
        break;
      case 'bytes':
        await writer.write(step.bytes);
        break;
      case 'wait':
        await writer.flush();
        await pause(step.ms, stage.gone);
        break;
      case 'silence':
        await writer.flush();
        await silence(step.pingMs, stage);
        return;
      case 'close':
        await writer.flush();
        hangUp(stage.response, 'FIN');
        return;
      case 'reset':
        await writer.flush();
        // A reset drops what the client has not read yet: give it the time to.
        await pause(RESET_DELAY_MS, stage.gone);
        hangUp(stage.response, 'RST');
        return;
      case 'end':
        await writer.flush();
        stage.response.end();
        return;
    }
  }
  await writer.flush();
  stage.response.end();
}

/** Nothing, or only pings, until the client leaves. */
export async function silence(
  pingMs: number | null,
  { response, ping, gone }: Pick<Stage, 'response' | 'ping' | 'gone'>,
): Promise<void> {
  if (pingMs === null) {
    await left(gone);
    return;
  }
  while (!gone.aborted) {
    response.write(ping);
    await pause(pingMs, gone);
  }
}

/** Resolves after the time, or as soon as the client has left. */
function pause(ms: number, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) {
      resolve();
      return;
    }
    const onGone = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => {
      gone.removeEventListener('abort', onGone);
      resolve();
    }, ms);
    gone.addEventListener('abort', onGone, { once: true });
  });
}

function left(gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Cuts and joins what is written into chunks of the body, and waits when the client does not read. */
class ChunkWriter {
  readonly #stage: Stage;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async write(bytes: Uint8Array): Promise<void> {
    switch (this.#stage.chunks) {
      case 'event':
        return this.#send(bytes);
      case 'joined':
        this.#pending.push(bytes);
        this.#pendingBytes += bytes.length;
        return this.#pendingBytes > JOINED_BYTES ? this.flush() : undefined;
      case 'split':
        return this.#pieces(bytes, SPLIT_BYTES);
      case 'byte':
        return this.#pieces(bytes, 1);
    }
  }

  async flush(): Promise<void> {
    const joined = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (joined.length > 0) await this.#send(joined);
  }

  async #pieces(bytes: Uint8Array, size: number): Promise<void> {
    for (let i = 0; i < bytes.length; i += size) await this.#send(bytes.subarray(i, i + size));
  }

  async #send(bytes: Uint8Array): Promise<void> {
    const { response, gone } = this.#stage;
    if (gone.aborted || response.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done);
        gone.removeEventListener('abort', done);
        resolve();
      };
      response.once('drain', done);
      gone.addEventListener('abort', done, { once: true });
    });
  }
}
