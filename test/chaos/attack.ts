// Visitors that send fuzzed messages and look at what becomes of each one: an answer that a server may give, or the end of
// the connection with a code of the catalogue.

import { encode } from '@msgpack/msgpack';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { binaryMessage, OPCODES, RawConnection, UPGRADE, wsFrame } from '../support/raw-connection.ts';
import { serverFrameFault } from '../support/server-frames.ts';
import type { Fuzz, FuzzFrames } from './fuzz-frames.ts';

/** Whose sessions are attacked, and the chat that they follow. */
export type Target = {
  readonly hello: Uint8Array;
  readonly chat: Uint8Array;
  /** Where the newest visitor was attached: the next one resumes there, as a client that comes back does. */
  cursor: readonly [epoch: unknown, seq: unknown] | null;
};

export type AttackOptions = {
  readonly port: number;
  readonly targets: readonly Target[];
  readonly fuzz: FuzzFrames;
  /** Connections that say no hello: the first message that is none ends them. Half of all until they are through. */
  readonly strangers: number;
};

/** Messages of one connection at most. */
const FRAMES_PER_CONNECTION = 12;
const ATTACHES_MAX = 20;
/** An attack that goes wrong is ended; the first faults say why. */
const FAULTS_MAX = 10;

const BROKEN_CODES: readonly unknown[] = [CLOSE_CODES.bad_frame, CLOSE_CODES.too_large];
const CODES: readonly unknown[] = Object.values(CLOSE_CODES);

type Tally = Record<string, number>;

export class Attack {
  readonly seen: { readonly [what in 'kinds' | 'errors' | 'closes']: Tally } = { kinds: {}, errors: {}, closes: {} };
  /** What should not have happened, in words. */
  readonly faults: string[] = [];
  connections = 0;
  attached = 0;
  /** Messages whose effect was seen. */
  judged = 0;
  readonly #options: AttackOptions;
  #probe = 2 ** 50;

  constructor(options: AttackOptions) {
    this.#options = options;
  }

  /** One connection after the other until `done`. */
  async run(done: () => boolean): Promise<void> {
    const { strangers, targets } = this.#options;
    while (!done() && this.faults.length < FAULTS_MAX) {
      const turn = this.connections++;
      const stranger = turn < 2 * strangers && turn % 2 === 0;
      await this.#visit(turn, stranger ? null : (targets[turn % targets.length] ?? null));
    }
  }

  async #visit(turn: number, target: Target | null): Promise<void> {
    const connection = await RawConnection.open(this.#options.port);
    connection.write(UPGRADE);
    await connection.until(() => connection.isUpgraded);
    if (target !== null) await this.#attach(connection, target);
    for (let i = 0; i < FRAMES_PER_CONNECTION && !connection.isOver; i++) {
      await this.#judge(connection, this.#options.fuzz.next());
    }
    // Some leave in order, some without a word, some are torn off.
    if (turn % 3 === 0) connection.write(wsFrame({ opcode: OPCODES.close, payload: Uint8Array.of(0x03, 0xe8) }));
    else await connection.destroy(turn % 3 === 1 ? 'fin' : 'reset');
    if ((await connection.ended).how === 'deadline') this.#fault('hangs', connection);
  }

  async #attach(connection: RawConnection, target: Target): Promise<void> {
    connection.send(target.hello);
    // A node that is busy may refuse for the moment: whoever wants the chat asks again.
    for (let asked = 0; asked < ATTACHES_MAX && !connection.isOver; asked++) {
      const from = connection.frames.length;
      connection.send(encode([3, target.chat, target.cursor]));
      await connection.until(() => connection.frames.slice(from).some(([op]) => op === 35 || op === 41));
      const attached = connection.frames.find(([op]) => op === 35);
      if (attached === undefined) continue;
      target.cursor = [attached[3], attached[4]];
      this.attached += 1;
      return;
    }
    this.#fault('not attached', connection);
  }

  /** Sends one message, and a query behind it: both are answered, or the connection ends in order. */
  async #judge(connection: RawConnection, fuzz: Fuzz): Promise<void> {
    const probe = ++this.#probe;
    const from = connection.frames.length;
    const replied = (request: number): boolean =>
      connection.frames.slice(from).some(([op, to]) => op === 34 && to === request);
    connection.write(Buffer.concat([binaryMessage(fuzz.bytes), binaryMessage(encode([7, probe, 'models.list', {}]))]));
    await connection.until(() => replied(probe) && (fuzz.request === null || replied(fuzz.request)));
    this.judged += 1;
    count(this.seen.kinds, fuzz.kind);
    for (const frame of connection.frames.slice(from)) {
      const fault = serverFrameFault(frame);
      if (fault !== null) this.#fault(`${fault} in answer to ${describe(fuzz)}`, connection);
      this.#countError(frame);
    }
    if (connection.isOver) await this.#judgeEnd(connection, fuzz);
    else if (fuzz.broken) this.#fault(`was taken: ${describe(fuzz)}`, connection);
  }

  async #judgeEnd(connection: RawConnection, fuzz: Fuzz): Promise<void> {
    const { code, how } = await connection.ended;
    count(this.seen.closes, String(code));
    const bye = connection.frames.at(-1);
    const known = CODES.includes(code) && code !== CLOSE_CODES.internal;
    const inOrder = known && how === 'fin' && bye?.[0] === 40 && bye[1] === code;
    if (!inOrder) this.#fault(`ended with ${code} by ${how}: ${describe(fuzz)}`, connection);
    else if (fuzz.broken && !BROKEN_CODES.includes(code)) this.#fault(`${code} for ${describe(fuzz)}`, connection);
  }

  #countError(frame: readonly unknown[]): void {
    const error = frame[0] === 34 && frame[2] === false ? frame[3] : frame[0] === 41 ? frame[2] : null;
    if (error !== null) count(this.seen.errors, String((error as { readonly code: unknown }).code));
  }

  #fault(what: string, connection: RawConnection): void {
    this.faults.push(`${what}; the last frames: ${JSON.stringify(connection.frames.slice(-3)).slice(0, 500)}`);
  }
}

function count(tally: Tally, key: string): void {
  tally[key] = (tally[key] ?? 0) + 1;
}

function describe({ kind, bytes }: Fuzz): string {
  return `${kind} ${Buffer.from(bytes.subarray(0, 200)).toString('hex')}`;
}
