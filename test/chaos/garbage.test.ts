// 100,000 fuzzed messages over 10,000 connections and more: the node lives, each message is answered or ends its connection
// with a code of the catalogue, and nobody else notices. `FUZZ_SEED` replays a run: the messages, not their
// interleaving; `FUZZ_FRAMES` makes it shorter, as its title says then.

import { encode } from '@msgpack/msgpack';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { uuidToBytes } from '../../protocol/ids.ts';
import { Bystanders } from '../support/bystanders.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { Attack, type Target } from './attack.ts';
import { FuzzFrames } from './fuzz-frames.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_007);
/** What has to be shown; nothing but `FUZZ_FRAMES` makes a run of less. */
const FLOOR = { frames: 100_000, connections: 10_000 };
const byHand = process.env['FUZZ_FRAMES'];
const FRAMES = byHand === undefined ? FLOOR.frames : Number(byHand);
const CONNECTIONS_MIN = byHand === undefined ? FLOOR.connections : FRAMES / 10;
const TITLE = `${FRAMES} fuzzed messages over ${CONNECTIONS_MIN} connections${byHand === undefined ? '' : ' (FUZZ_FRAMES)'}`;
const STRANGERS = (6 * FRAMES) / 100;
/** At the same time. */
const VISITORS = 24;
const TARGETS = 8;
const OWN_FILES = 32;
/** What the process may grow by once a tenth has been through: its heap is collected or not. Twice the 92 MB seen. */
const GROWTH_BYTES_MAX = 192 * 1024 * 1024;

let database: TestDatabase;
let node: NodeProcess;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `garbage_${process.pid}`);
  // The limits per address and per owner would refuse a fast machine's attack before it is looked at.
  const generous = {
    PARLEY_ADDRESS_CONNECTS_PER_SECOND: '100000',
    PARLEY_ADDRESS_CONNECTS_BURST: '100000',
    PARLEY_OWNER_COMMANDS_PER_SECOND: '100000',
    PARLEY_OWNER_COMMANDS_BURST: '100000',
  };
  node = await NodeProcess.start({ env: { ...generous, DATABASE_URL: database.url } });
});

afterAll(async () => {
  await node.stop();
  await database.drop();
});

async function makeTargets(): Promise<Target[]> {
  const clients = new Clients();
  const targets: Target[] = [];
  for (let i = 0; i < TARGETS; i++) {
    const token = await node.tokenFor(`target ${i}`);
    const { id } = await (await clients.connect(node.url, token)).createChat();
    targets.push({ hello: encode([1, 1, token, 'fuzz']), chat: uuidToBytes(id), cursor: null });
  }
  clients.closeAll();
  return targets;
}

async function openSessions(): Promise<number> {
  const answer = (await (await fetch(`${node.httpUrl}/readyz`)).json()) as { readonly sessions: number };
  return answer.sessions;
}

test(`[garbage][P11] ${TITLE}: answers or close codes of the catalogue, and nobody else notices`, async () => {
  console.info(`FUZZ_SEED=${SEED}`);
  const targets = await makeTargets();
  const fuzz = new FuzzFrames({ seed: SEED, chats: targets.map(({ chat }) => chat) });
  const attack = new Attack({ port: node.port, targets, fuzz, strangers: STRANGERS });
  const bystanders = await Bystanders.start(node, 4);
  onTestFinished(() => bystanders.abandon());
  const wave = async (judged: number, connections: number): Promise<void> => {
    const done = (): boolean => attack.judged >= judged && attack.connections >= connections;
    await Promise.all(Array.from({ length: VISITORS }, () => attack.run(done)));
  };
  const files = node.openFiles();
  await wave(FRAMES / 10, 0);
  const residentBytes = node.residentBytes();
  await wave(FRAMES, CONNECTIONS_MIN);
  const grownBytes = node.residentBytes() - residentBytes;
  expect(attack.faults).toEqual([]);
  // Every session of the attack is let go.
  while ((await openSessions()) > bystanders.count);
  const noticed = await bystanders.stop();
  const { connections, attached, judged, seen } = attack;
  const { turns, slowestMs } = bystanders;
  console.info(JSON.stringify({ connections, attached, judged, ...seen, turns, slowestMs, grownBytes }));

  expect(judged).toBeGreaterThanOrEqual(FRAMES);
  expect(connections).toBeGreaterThanOrEqual(CONNECTIONS_MIN);
  expect(noticed).toEqual([]);
  expect(turns).toBeGreaterThan(0);
  expect(node.errorLines).toEqual([]);
  expect(attached).toBeGreaterThanOrEqual(connections / 2);
  // It did look at something: the ways in which a message can fail all occurred.
  for (const code of ['bad_args', 'bad_command_id', 'unknown_op', 'unknown_command', 'unknown_query', 'not_found']) {
    expect(seen.errors).toHaveProperty(code);
  }
  expect(seen.closes).toHaveProperty(String(CLOSE_CODES.bad_frame));
  // What the node opens for itself comes and goes.
  expect(node.openFiles()).toBeLessThan(files + OWN_FILES);
  expect(grownBytes).toBeLessThan(GROWTH_BYTES_MAX);
}, 600_000);
