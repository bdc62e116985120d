// Node reads the variables for proxies before any code of ours runs, so this takes processes of its own.

import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

let provider: Server;
let proxy: Server;
let seenByProxy = 0;

beforeAll(async () => {
  provider = createServer((_, response) => response.end('answer'));
  proxy = createServer((_, response) => response.end('evil'));
  proxy.on('connection', (socket) => {
    seenByProxy += 1;
    socket.destroy();
  });
  await Promise.all([provider, proxy].map(listen));
});

afterAll(async () => {
  await Promise.all([provider, proxy].map(close));
});

test.each([
  ['the threat is there: without it a proxy of the environment is used', false, 'failed', 1],
  ['with it no proxy of the environment sees a request', true, 'answer', 0],
])('[style 13] %s', async (_, ignores, answer, seen) => {
  seenByProxy = 0;
  const evil = urlOf(proxy);
  const env = {
    ...process.env,
    NODE_USE_ENV_PROXY: '1',
    HTTP_PROXY: evil,
    http_proxy: evil,
    no_proxy: '',
    NO_PROXY: '',
  };
  const module = new URL('../../gateway/config-environment.ts', import.meta.url).href;
  const code = `
    import { ignoreProxies } from '${module}';
    if (${ignores}) ignoreProxies();
    console.log(await fetch('${urlOf(provider)}').then((response) => response.text(), () => 'failed'));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env });
  expect(stdout.trim()).toBe(answer);
  expect(Math.min(seenByProxy, 1)).toBe(seen);
});

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
