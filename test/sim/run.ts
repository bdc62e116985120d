// One run: a seed draws what happens, then the faults stop, and everything has to come to rest and agree.

import type { JournalMode } from '../../actors/turn-ports.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { must } from '../../protocol/assert.ts';
import { Alone } from './alone.ts';
import type { Sight, Violation } from './audit.ts';
import { settle } from './clock.ts';
import { Cluster } from './cluster.ts';
import type { Device } from './device.ts';
import type { Fault, Shape } from './faults.ts';
import { checkLists, checkStorage, compareStates, isAtRest, isCaughtUp } from './final-checks.ts';
import { begin, schedule } from './plan.ts';
import { World, type Plant, type Site } from './world.ts';

export type RunResult = {
  readonly seed: number;
  readonly violation: Violation | null;
  /** Messages delivered, store calls, actions, ends and starts of nodes. */
  readonly events: number;
  readonly simulatedMs: number;
  readonly faults: ReadonlyMap<Fault, number>;
  readonly sights: ReadonlyMap<Sight, number>;
};

export type RunOptions = {
  readonly seed: number;
  /** `alone` when absent. */
  readonly shape?: Shape;
  /** `batched` when absent. */
  readonly journal?: JournalMode;
  readonly plant?: Plant;
  /** Called with each line of the trace as it happens. */
  readonly print?: (line: string) => void;
};

/** A run with fewer events before its faults stop goes on: it has hardly tried anything. */
export const EVENTS_MIN = 200;

/** A node goes down, another one comes up. */
const SETTLE_MS = 10_000;
/** Longest back-offs: 10 s of a client, 10 s of a revival, 30 s between looks for due chats; several in a row. */
const REST_MS = 240_000;
/** Longer than an actor waits between two tries of a commit. */
const STILL_MS = 5_000;
/** A queue of 20 messages at some seconds each comes before it. */
const ANSWER_MS = 240_000;

export async function run({
  seed,
  shape = 'alone',
  journal = 'batched',
  plant = {},
  print,
}: RunOptions): Promise<RunResult> {
  const siteOf = (of: World): Site => (shape === 'alone' ? new Alone(of) : new Cluster(of));
  const world = new World({ seed, shape, journal: plant.journal ?? journal, siteOf, plant });
  if (print !== undefined) world.trace.print = print;
  const startMs = world.clock.timerMs;
  try {
    await play(world);
  } finally {
    world.end();
  }
  return {
    seed,
    violation: world.audit.violation,
    events: world.trace.count,
    simulatedMs: world.clock.timerMs - startMs,
    faults: world.faults.counts,
    sights: world.audit.sights,
  };
}

async function play(world: World): Promise<void> {
  begin(world);
  do {
    if (!(await runUntil(world, () => false, schedule(world)))) return;
  } while (world.trace.count < EVENTS_MIN);
  world.trace.add(() => 'the faults stop');
  world.stopFaults();
  if (!(await runUntil(world, () => world.site.isSettled, SETTLE_MS))) return;
  world.site.open();
  for (const device of world.devices) device.open();
  if (!(await comesToRest(world))) return;
  checkStorage(world);
  await checkAnswers(world);
  if (world.audit.violation !== null || !(await comesToRest(world))) return;
  checkStorage(world);
  world.site.checkRest();
  await checkAgreement(world);
  const { lingerMs } = world.site;
  if (lingerMs === 0) return;
  for (const device of world.devices) device.goAway();
  world.network.dropAll('both');
  if (await runUntil(world, () => false, lingerMs)) world.site.checkLeft();
}

/** Steps until `done`, at most `limitMs`; false when an invariant broke on the way. */
async function runUntil(world: World, done: () => boolean, limitMs: number): Promise<boolean> {
  const { clock, audit } = world;
  const untilMs = clock.timerMs + limitMs;
  await settle();
  while (audit.violation === null && !done() && clock.step(untilMs)) {
    await settle();
    world.checkBudgets();
  }
  return audit.violation === null;
}

/** (f): within bounded time every chat rests, every attempt is settled, every client is where it wants to be. */
async function comesToRest(world: World): Promise<boolean> {
  const done = (): boolean => isAtRest(world) && isCaughtUp(world) && world.site.isSettled;
  if (!(await runUntil(world, done, REST_MS))) return false;
  // Commands of a connection that was lost may still be in a mailbox.
  if (!(await runUntil(world, () => false, STILL_MS)) || !(await runUntil(world, done, REST_MS))) return false;
  if (!done()) world.audit.fail('P12', `it does not come to rest: ${describeUnrest(world)}`);
  return world.audit.violation === null;
}

/** (f): whatever happened before, the next message has its answer (P12). */
async function checkAnswers(world: World): Promise<void> {
  for (const [chat, owner] of world.chats) {
    const device = must(
      world.devices.find(({ options }) => options.owner === owner),
      'every chat has an owner with a device',
    );
    if (world.tables.chats.get(chat)?.chat.archived === true) void device.archive(chat, false);
    const sent = device.send(chat, 'are you there?', 'queue');
    let id: string | null = null;
    void sent.then((done) => {
      id = done.outcome === 'acked' ? done.id : '';
    });
    const isAnswered = (): boolean => id !== null && (id === '' || hasAnswer(world, chat, id));
    if (!(await runUntil(world, isAnswered, ANSWER_MS))) return;
    if (id === '' || !isAnswered()) return world.audit.fail('P12', `${chat} does not answer any more`);
  }
}

function hasAnswer({ tables }: World, chat: ChatId, turn: string): boolean {
  const messages = tables.chats.get(chat)?.messages ?? [];
  return messages.some((message) => message.turn === turn && message.role === 'assistant' && !message.interrupted);
}

/** (b): everybody who follows a chat shows what somebody shows who comes now. */
async function checkAgreement(world: World): Promise<void> {
  for (const [chat, owner] of world.chats) {
    const fresh: Device = world.addDevice(owner, 'member');
    fresh.handle(chat).attach();
    if (!(await runUntil(world, () => isCaughtUp(world), REST_MS))) return;
    if (!isCaughtUp(world)) return world.audit.fail('P4', `${chat} cannot be attached to: ${describeUnrest(world)}`);
    if (!(await resolveParts(world, chat))) return;
    compareStates(world, chat, fresh.handle(chat).state);
    const following = world.devices.flatMap(({ options, followed }) =>
      followed.filter(({ id }) => id === chat).map(({ state }) => [options.name, state] as const),
    );
    world.audit.history.end({
      at: world.clock.nowMs(),
      chat,
      shown: following,
      fresh: fresh.handle(chat).state,
      rows: world.tables.chats.get(chat)?.messages ?? [],
    });
    fresh.close();
  }
  for (const what of world.audit.history.violations()) world.audit.fail('history', what);
  let listed = false;
  void checkLists(world).then(() => {
    listed = true;
  });
  if ((await runUntil(world, () => listed, REST_MS)) && !listed) world.audit.fail('list', 'no list came');
}

/** Fetches the large parts of a chat that some client still has as references. */
async function resolveParts(world: World, chat: ChatId): Promise<boolean> {
  for (const { followed } of world.devices) {
    for (const handle of followed) {
      if (handle.id !== chat) continue;
      for (const { number, parts } of handle.state.messages) {
        // What cannot be fetched shows as a difference to those who could.
        for (const [i, part] of parts.entries()) if (!('text' in part)) handle.part(number, i).catch(() => undefined);
      }
    }
  }
  return runUntil(world, () => isCaughtUp(world), REST_MS);
}

function describeUnrest({ tables, devices }: World): string {
  const chats = [...tables.chats.values()].map(
    ({ chat, turn }) => `${chat.id.slice(0, 8)} ${chat.status} ${turn?.id ?? ''}`,
  );
  const open = [...tables.attempts.values()].filter(({ settlement }) => settlement === null).length;
  const clients = devices.map(({ options, client, followed }) => {
    const states = followed.map((handle) => `${handle.id.slice(0, 8)} ${handle.attachment.status}`);
    return `${options.name} ${client.status.status}, ${client.pendingRequests} pending, ${states.join(', ')}`;
  });
  return [`${open} open attempts`, ...chats, ...clients].join('; ');
}
