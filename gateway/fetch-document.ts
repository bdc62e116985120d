// One small document by https, within a time and a size. Not `fetch`: it takes no certificates of its own, follows
// redirects to wherever they lead, and reads a body of any length.

import { request } from 'node:https';

export type FetchDocument = (signal: AbortSignal) => Promise<string>;

export type DocumentSource = {
  readonly url: string;
  /** PEM; null: the certificates that Node.js brings. */
  readonly ca: string | null;
  readonly bytesMax: number;
  readonly timeoutMs: number;
};

/** Rejects with an error whose message is fit for a log. */
export function documentFetcher({ url, ca, bytesMax, timeoutMs }: DocumentSource): FetchDocument {
  const options = {
    headers: { accept: 'application/jwk-set+json, application/json', 'user-agent': 'parley' },
    // A variable of the environment could switch it off.
    rejectUnauthorized: true,
    agent: false,
    ...(ca === null ? {} : { ca }),
  } as const;
  return (stopped) =>
    new Promise((resolve, reject) => {
      const signal = AbortSignal.any([stopped, AbortSignal.timeout(timeoutMs)]);
      const fail = (error: Error): void => {
        outgoing.destroy();
        reject(signal.aborted && !stopped.aborted ? new Error('it did not answer in time') : error);
      };
      const outgoing = request(url, { ...options, signal }, (response) => {
        if (response.statusCode !== 200) {
          fail(new Error(`it answered with ${response.statusCode ?? 0} instead of 200`));
          return;
        }
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > bytesMax) fail(new Error(`it is larger than ${bytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.on('end', () => {
          if (response.complete) resolve(Buffer.concat(chunks).toString('utf8'));
          else fail(new Error('its body was cut off'));
        });
        response.on('error', () => fail(new Error('its body was cut off')));
      });
      outgoing.on('error', fail);
      outgoing.end();
    });
}
