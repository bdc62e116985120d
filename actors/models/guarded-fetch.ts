// The `fetch` that an SDK is given. It decides what reaches the wire and bounds what comes back.
//
// Headers: the SDKs merge those of an environment variable (`ANTHROPIC_CUSTOM_HEADERS`, `OPENAI_CUSTOM_HEADERS`) into every
// request, over their own, and have no option against it. So the adapter's are written here, and none of the SDK's is
// passed on.
// Body: the SDKs swallow pings and have no idle timeout, so every chunk is reported as activity; and they read error
// bodies whole and lines of any length, so both are bounded.

import type { TraceParent } from '../../protocol/trace-parent.ts';

/** 128,000 tokens of output are about 15 MB of events; more than this is no message. The body breaks off with an error. */
const STREAM_BYTES_MAX = 64 * 1024 * 1024;
/** An error is a few hundred bytes; the rest of a longer one is not read. */
const ERROR_BYTES_MAX = 64 * 1024;

export type GuardedFetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

export type GuardedFetchOptions = {
  /** All that is sent beside what the transport itself adds, and the trace. */
  readonly headers: Readonly<Record<string, string>>;
  /** Null: no `traceparent` is sent. */
  readonly trace: TraceParent | null;
  readonly activity: () => void;
};

export function guardedFetch({ headers: own, trace, activity }: GuardedFetchOptions): GuardedFetch {
  const headers = trace === null ? own : { ...own, traceparent: trace };
  return async (url, init) => {
    // A redirected POST would hand the prompt to whoever the first host names.
    const response = await fetch(url, { ...init, headers, redirect: 'error' });
    activity();
    if (response.body === null) return response;
    return new Response(watched(response.body, activity, response.ok), response);
  };
}

/** A stream that pulls from the other, in place of a pipe through a third: that took a tenth of all time of an answer. */
function watched(
  source: ReadableStream<Uint8Array>,
  activity: () => void,
  isStream: boolean,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  let bytes = 0;
  const take = (value: Uint8Array, controller: ReadableStreamDefaultController<Uint8Array>): void => {
    activity();
    bytes += value.byteLength;
    if (isStream && bytes > STREAM_BYTES_MAX) throw new Error('the answer is larger than any message');
    controller.enqueue(value);
    if (isStream || bytes <= ERROR_BYTES_MAX) return;
    controller.close();
    // Whatever comes of hanging up, enough was read.
    reader.cancel().catch(() => undefined);
  };
  return new ReadableStream(
    {
      async pull(controller): Promise<void> {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else take(value, controller);
        } catch (error) {
          reader.cancel(error).catch(() => undefined);
          throw error;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // Nothing is read ahead of whoever reads this.
    { highWaterMark: 0 },
  );
}
