// HTTP by hand over a TCP connection: what libraries would not send, and what they would hide.
import { connect } from 'node:net';

export type RawAnswer = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

export const UPGRADE_HEADERS: Readonly<Record<string, string>> = {
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'parley.v1',
};

/** Sends a GET and reads until the head of the answer is there and, for a refusal, the connection has ended. */
export async function rawGet(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const lines = Object.entries({ host: `127.0.0.1:${port}`, ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) break;
    if (isWhole(text)) break;
  }
  socket.destroy();
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [statusLine = '', ...rest] = head.split('\r\n');
  const named = rest.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.split(/: ?/)[1] ?? ''] as const);
  return { status: Number(statusLine.split(' ')[1]), headers: new Map(named), body };
}

function isWhole(text: string): boolean {
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return length !== undefined && (text.split('\r\n\r\n')[1]?.length ?? -1) >= Number(length);
}
