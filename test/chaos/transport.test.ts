// Connections that break HTTP and WebSocket below the protocol: how each one ends, and that nobody else notices. What
// uWebSockets.js decides by itself is measured here too, so that another build of it that decides otherwise shows.

import { encode } from '@msgpack/msgpack';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Bystanders } from '../support/bystanders.ts';
import { NodeProcess } from '../support/node-process.ts';
import { binaryMessage, type End, OPCODES, RawConnection, UPGRADE, wsFrame } from '../support/raw-connection.ts';

const MIB = 1024 * 1024;
/** uWebSockets.js gives a connection 10 s to say what it wants, and looks every 4 s. */
const UNFINISHED_MAX_MS = 20_000;
const PING = encode([8]);

let node: NodeProcess;
let bystanders: Bystanders;
/** Half-open: said hello, attached, and was stopped. Begun first, for it takes a minute until it is noticed. */
let stopped: ChildProcess;
/** Sessions of the test that runs. */
const made: RawConnection[] = [];

beforeAll(async () => {
  node = await NodeProcess.start();
  bystanders = await Bystanders.start(node, 2);
  stopped = await stoppedClient();
});

afterEach(async () => {
  await Promise.all(made.splice(0).map((connection) => connection.destroy()));
});

afterAll(async () => {
  stopped.kill('SIGKILL');
  const noticed = await bystanders.stop();
  const { errorLines } = node;
  await node.stop();
  expect(noticed).toEqual([]);
  expect(errorLines).toEqual([]);
});

async function live(): Promise<RawConnection> {
  const connection = await RawConnection.upgraded(node.port);
  made.push(connection);
  connection.send(encode([1, 1, await node.tokenFor('visitor'), 'raw']));
  await connection.until(() => connection.frames.some(([op]) => op === 33));
  return connection;
}

/** A client in a process of its own that stops in the middle of its session, without FIN. */
async function stoppedClient(): Promise<ChildProcess> {
  const hello = binaryMessage(encode([1, 1, await node.tokenFor('stopped'), 'raw'])).toString('hex');
  const script = `
    const socket = require('node:net').connect(${node.port}, '127.0.0.1');
    socket.write(${JSON.stringify(UPGRADE)});
    socket.once('data', () => {
      socket.write(Buffer.from('${hello}', 'hex'));
      socket.once('data', () => process.stdout.write('live', () => process.kill(process.pid, 'SIGSTOP')));
    });`;
  const client = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(client.stdout, 'data');
  return client;
}

/** It answers, so it lives and understands. */
async function answers(connection: RawConnection): Promise<boolean> {
  const before = connection.frames.length;
  connection.send(PING);
  await connection.until(() => connection.frames.slice(before).some(([op]) => op === 38));
  return !connection.isOver;
}

async function sessions(): Promise<number> {
  const answer = (await (await fetch(`${node.httpUrl}/readyz`)).json()) as { readonly sessions: number };
  return answer.sessions;
}

describe('[transport] headers', () => {
  /** Where this build of uWebSockets.js takes a request line that is not there yet for a wrong one. */
  const REQUEST_LINE = [4, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

  async function inTwo(at: number): Promise<number> {
    const connection = await RawConnection.open(node.port);
    await connection.flush(UPGRADE.slice(0, at));
    // Another connection's answer: the node has been through its sockets since.
    await fetch(`${node.httpUrl}/healthz`);
    connection.write(UPGRADE.slice(at));
    await connection.until(() => connection.status !== 0);
    await connection.destroy();
    return connection.status;
  }

  test('[transport] an upgrade split over two packets works at every byte behind the request line', async () => {
    const refused: number[] = [];
    for (let at = 1; at < UPGRADE.length; at++) if ((await inTwo(at)) !== 101) refused.push(at);
    expect(refused).toEqual(REQUEST_LINE);
  });

  test('[transport] behind the request line the header may come byte by byte', async () => {
    const connection = await RawConnection.open(node.port);
    const line = UPGRADE.indexOf('\n') + 1;
    await connection.flush(UPGRADE.slice(0, line));
    for (const byte of UPGRADE.slice(line)) await connection.flush(byte);
    await connection.until(() => connection.isUpgraded);
    expect(connection.status).toBe(101);
    await connection.destroy();
  });

  test('[P11] a header over 4 KiB is refused, in one packet or in many', async () => {
    const whole = await RawConnection.open(node.port);
    whole.write(`${UPGRADE.slice(0, -2)}x: ${'y'.repeat(4_096)}\r\n\r\n`);
    await whole.ended;
    expect(whole.status).toBe(431);
    const endless = await RawConnection.open(node.port);
    await endless.flush(UPGRADE.slice(0, -2));
    let bytes = 0;
    // The refusal may be overtaken by the reset that follows when more comes.
    for (; bytes < MIB && !endless.isOver; bytes += 8) await endless.flush('x: yyy\r\n');
    expect((await endless.ended).how).not.toBe('deadline');
    expect(bytes).toBeLessThan(MIB);
  });

  test('[transport] what is no HTTP/1.1 is answered and cut at once', async () => {
    for (const garbage of ['\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 'GET / HTTP/1.0\r\n\r\n']) {
      const connection = await RawConnection.open(node.port);
      connection.write(garbage.padEnd(64, 'x'));
      await connection.ended;
      expect(connection.status).toBe(505);
    }
  });
});

describe('[transport] what never finishes', () => {
  async function unfinished(begin: string, more: () => string | null): Promise<End & { readonly tookMs: number }> {
    const connection = await RawConnection.open(node.port);
    const startedMs = performance.now();
    connection.write(begin);
    while (!connection.isOver) {
      const next = more();
      if (next !== null) connection.write(next);
      // A byte per answer of another connection: as slow as a node that is busy, and never a pause without one.
      await fetch(`${node.httpUrl}/healthz`);
    }
    return { ...(await connection.ended), tookMs: performance.now() - startedMs };
  }

  test('[P11] slow-loris: a header that comes byte by byte, or stops, is cut after 10 s, and so is silence', async () => {
    const line = UPGRADE.slice(0, UPGRADE.indexOf('\n') + 1);
    const drip = `x: ${'y'.repeat(3_000)}`;
    let at = 0;
    const ends = await Promise.all([
      unfinished('', () => null),
      unfinished(UPGRADE.slice(0, 100), () => null),
      unfinished('GET /\r\n\r\n\r\n', () => null),
      unfinished(line, () => drip[Math.min(at++, 2_900)] ?? null),
    ]);
    for (const { how, tookMs } of ends) {
      expect(how).not.toBe('deadline');
      expect(tookMs).toBeGreaterThan(5_000);
      expect(tookMs).toBeLessThan(UNFINISHED_MAX_MS);
    }
  });

  test('[P11] a body that is announced and never comes: the page is answered and the connection closed', async () => {
    const connection = await RawConnection.open(node.port);
    connection.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n\r\nx');
    expect((await connection.ended).how).not.toBe('deadline');
    expect(connection.status).toBe(200);
  });

  test('[P11] an upgrade without hello ends with 4002, a byte of one as well', async () => {
    const silent = await RawConnection.upgraded(node.port);
    const begun = await RawConnection.upgraded(node.port);
    begun.write(binaryMessage(new Uint8Array(100)).subarray(0, 50));
    for (const connection of [silent, begun]) {
      expect(await connection.ended).toEqual({ code: CLOSE_CODES.hello_timeout, how: 'fin' });
    }
  });

  test('[P11] unfinished connections from one address are cut when they are too many, others still come in', async () => {
    const flood = await Promise.all(Array.from({ length: 3_000 }, () => RawConnection.open(node.port, '127.0.0.2')));
    onTestFinished(async () => void (await Promise.all(flood.map((connection) => connection.destroy()))));
    expect(await answers(await live())).toBe(true);
    const cut = flood.filter(({ isOver }) => isOver).length;
    expect(cut).toBeGreaterThan(500);
    expect(cut).toBeLessThan(1_000);
  });
});

describe('[transport] frames of WebSocket', () => {
  const closeFrame = (code: number, reason = ''): Buffer => {
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason, 'latin1')]);
    return wsFrame({ opcode: OPCODES.close, payload });
  };

  test.each([
    ['a reserved bit: compression that nobody agreed on', wsFrame({ opcode: 2, payload: PING, reserved: 4 })],
    ['the second reserved bit', wsFrame({ opcode: 2, payload: PING, reserved: 2 })],
    ['the third reserved bit', wsFrame({ opcode: 2, payload: PING, reserved: 1 })],
    ['a reserved opcode of data', wsFrame({ opcode: 3, payload: PING })],
    ['a reserved control opcode', wsFrame({ opcode: 11 })],
    ['a continuation of nothing', wsFrame({ opcode: OPCODES.continuation, payload: PING })],
    ['a ping in fragments', wsFrame({ opcode: OPCODES.ping, fin: false })],
    ['a ping over 125 bytes', wsFrame({ opcode: OPCODES.ping, payload: new Uint8Array(126) })],
    ['a close frame over 125 bytes', closeFrame(1000, 'x'.repeat(124))],
    ['text that is not UTF-8', wsFrame({ opcode: OPCODES.text, payload: Uint8Array.of(0xff) })],
    ['a length of 2^63', wsFrame({ opcode: OPCODES.binary, length: 2n ** 63n })],
  ])('[transport] %s: cut', async (_, bytes) => {
    const connection = await live();
    connection.write(bytes);
    expect(await connection.ended).toEqual({ code: null, how: 'fin' });
  });

  test.each([
    ['a close frame in order', closeFrame(1000), 1000],
    ['a close frame without a code', wsFrame({ opcode: OPCODES.close }), null],
    ['a code that may not be sent', closeFrame(1005), null],
    ['a code of nobody', closeFrame(999), null],
    ['half a code', wsFrame({ opcode: OPCODES.close, payload: Uint8Array.of(3) }), null],
    ['a reason that is not UTF-8', closeFrame(1000, '\xff'), null],
  ])('[transport] %s: answered and closed', async (_, bytes, code) => {
    const connection = await live();
    connection.write(bytes);
    expect(await connection.ended).toEqual({ code, how: 'fin' });
  });

  test('[transport] a text message ends with 4500 and says so', async () => {
    const connection = await live();
    connection.write(wsFrame({ opcode: OPCODES.text, payload: Buffer.from('hello') }));
    expect(await connection.ended).toEqual({ code: CLOSE_CODES.bad_frame, how: 'fin' });
    expect(connection.frames.at(-1)?.slice(0, 2)).toEqual([40, CLOSE_CODES.bad_frame]);
  });

  test('[transport] a message in fragments, with a ping between them, is one message', async () => {
    const connection = await live();
    const [first, second] = [PING.subarray(0, 1), PING.subarray(1)];
    connection.write(wsFrame({ opcode: OPCODES.binary, payload: first, fin: false }));
    connection.write(wsFrame({ opcode: OPCODES.ping, payload: Buffer.from('?') }));
    connection.write(wsFrame({ opcode: OPCODES.continuation, payload: second }));
    await connection.until(() => connection.frames.some(([op]) => op === 38));
    expect(connection.controls).toEqual([OPCODES.pong]);
  });

  test('[P11] a frame without a mask is misread and does no harm: the connection ends', async () => {
    const connection = await live();
    for (let i = 0; i < 1_000 && !connection.isOver; i++) {
      await connection.flush(wsFrame({ opcode: OPCODES.binary, payload: PING, masked: false }));
    }
    expect((await connection.ended).how).not.toBe('deadline');
  });

  test('[P11] a flood of pings ends with 4003', async () => {
    const connection = await live();
    const pings = Buffer.concat(Array.from({ length: 500 }, () => wsFrame({ opcode: OPCODES.ping })));
    for (let i = 0; i < 40 && !connection.isOver; i++) await connection.flush(pings);
    expect((await connection.ended).code).toBe(CLOSE_CODES.rate_limited);
  });
});

describe('[transport] messages of 64 MiB', () => {
  const CHUNK = new Uint8Array(64 * 1024);

  /** Writes until the node cuts; the bytes that the system took. */
  async function pour(connection: RawConnection, first: Uint8Array, chunk: Uint8Array): Promise<number> {
    await connection.flush(first);
    let bytes = 0;
    for (; bytes < 64 * MIB && !connection.isOver; bytes += chunk.length) await connection.flush(chunk);
    return bytes;
  }

  test('[P11] in one frame: refused by its header, before its bytes', async () => {
    const connection = await live();
    connection.write(wsFrame({ opcode: OPCODES.binary, length: BigInt(64 * MIB) }));
    expect(await connection.ended).toEqual({ code: null, how: 'fin' });
  });

  test.each([
    [
      'in one frame, whose bytes come all the same',
      wsFrame({ opcode: OPCODES.binary, length: BigInt(64 * MIB) }),
      CHUNK,
    ],
    [
      'in fragments',
      wsFrame({ opcode: OPCODES.binary, payload: CHUNK, fin: false }),
      wsFrame({ opcode: OPCODES.continuation, payload: CHUNK, fin: false }),
    ],
  ])('[P11] %s: cut within megabytes, and the node does not keep them', async (_, first, chunk) => {
    const before = node.residentBytes();
    const poured = await pour(await live(), first, chunk);
    // What lies between the node and us is the system's: some megabytes of buffers.
    expect(poured).toBeLessThan(32 * MIB);
    expect(node.residentBytes() - before).toBeLessThan(32 * MIB);
  });

  test('[P11] between the limit and twice the limit a message ends with 4503; up to the limit it is read', async () => {
    const over = await live();
    over.send(new Uint8Array(LIMITS.inboundMessageBytes + 1));
    expect((await over.ended).code).toBe(CLOSE_CODES.too_large);
    const largest = await live();
    const filler = new Uint8Array(LIMITS.scannedStringBytes - 100);
    largest.send(Buffer.concat(Array.from({ length: 4 }, () => encode([8, filler]))));
    expect(await answers(largest)).toBe(true);
  });
});

describe('[transport] floods of HTTP', () => {
  test('[P11] pages and paths that are not there: every request is answered or cut, the node goes on', async () => {
    const paths = ['/healthz', '/readyz', '/nothing', '/v1/ws'];
    const answered = await Promise.all(
      Array.from({ length: 1_000 }, async (_, i) => {
        const connection = await RawConnection.open(node.port);
        connection.write(`GET ${paths[i % paths.length]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`.repeat(5));
        return (await connection.ended).how !== 'deadline';
      }),
    );
    expect(answered).not.toContain(false);
    expect(await answers(await live())).toBe(true);
  });
});

test('[P5][P11] half-open: a client that was stopped in its session is let go after 60 s of silence', async () => {
  // Its machine still takes what is sent; only pings without an answer tell.
  while ((await sessions()) > bystanders.count);
  expect(stopped.exitCode ?? stopped.signalCode).toBeNull();
}, 120_000);
