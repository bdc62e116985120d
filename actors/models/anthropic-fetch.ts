// The `fetch` that the SDK is given. It decides what reaches the wire and bounds what comes back.
//
// Headers: the SDK merges those of ANTHROPIC_CUSTOM_HEADERS into every request, over its own, and has no option
// against it. So ours are written here, and none of the SDK's is passed on.
// Body: the SDK swallows pings and has no idle timeout, so every chunk is reported as activity; and it reads error
// bodies whole and lines of any length, so both are bounded.

/** The version whose events and errors this adapter knows; a test compares it with the SDK's. */
export const ANTHROPIC_VERSION = '2026-10-21';

/** 128,000 tokens of output are about 15 MB of events; more than this is no message. The body breaks off with an error. */
const STREAM_BYTES_MAX = 64 * 1024 * 1024;
/** An error is a few hundred bytes; the rest of a longer one is not read. */
const ERROR_BYTES_MAX = 64 * 1024;

export type GuardedFetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

export function guardedFetch(apiKey: string, activity: () => void): GuardedFetch {
  return async (url, init) => {
    const headers = {
      accept: 'application/json',
      'anthropic-version': ANTHROPIC_VERSION,
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
      'user-agent': 'parley',
    };
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
