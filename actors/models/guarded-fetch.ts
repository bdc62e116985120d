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
    const body = response.body.pipeThrough(watch(activity, response.ok));
    return new Response(body, response);
  };
}

function watch(activity: () => void, isStream: boolean): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller): void {
      activity();
      bytes += chunk.byteLength;
      if (isStream && bytes > STREAM_BYTES_MAX) {
        controller.error(new Error('the answer is larger than any message'));
        return;
      }
      controller.enqueue(chunk);
      if (!isStream && bytes > ERROR_BYTES_MAX) controller.terminate();
    },
  });
}
