// What happens in a run: people with their devices, and what befalls them. The seed draws all of it.

import type { Busy } from '../../protocol/client/index.ts';
import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import type { Device } from './device.ts';
import { deafReader, probe } from './probe.ts';
import type { World } from './world.ts';

const OWNERS = ['ann', 'bob', 'cem'] as const;
const BUSY: readonly Busy[] = ['queue', 'queue', 'interrupt', 'reject'];
/** Above `LIMITS.inlinePartBytes`: comes as a reference in snapshots. */
const LARGE_TEXT = 'large '.repeat(3_000);
const HOUR_MS = 60 * 60 * 1_000;

const ACTIONS = {
  send: 40,
  stop: 8,
  create: 5,
  rename: 5,
  archive: 3,
  unarchive: 6,
  attach: 14,
  detach: 6,
  leave: 6,
  repeat: 10,
  label: 2,
  browse: 3,
  page: 3,
  probe: 2,
  trespass: 2,
  gather: 3,
} as const;
type Action = keyof typeof ACTIONS;

/** The people, their devices and the first nodes. */
export function begin(world: World): void {
  const { random } = world;
  const owners = OWNERS.slice(0, random.int(1, OWNERS.length)) as readonly string[] as readonly OwnerId[];
  for (const owner of owners) {
    for (let i = random.int(1, 3); i > 0; i--) void world.addDevice(owner, 'member').create(null);
    if (random.chance(0.15)) world.addOldChat(owner, { messages: random.int(55, 120), chars: 20 });
    // Fifty such messages are more than one piece of a snapshot.
    if (random.chance(0.02)) world.addOldChat(owner, { messages: 55, chars: 8_000 });
  }
  if (random.chance(0.3)) world.addDevice('eve' as OwnerId, 'auditor');
  world.site.open();
}

/** Puts a stretch of life on the clock; gives how long it is. */
export function schedule(world: World): number {
  const { random, clock } = world;
  const durationMs = random.int(8_000, 40_000);
  for (let i = random.int(40, 80); i > 0; i--) {
    const action = random.weighted(ACTIONS);
    clock.after(random.int(0, durationMs), () => act(world, action));
  }
  for (let i = world.stopsTrees ? 6 : 0; i > 0; i--) clock.after(random.int(500, durationMs), () => stopTree(world));
  world.site.schedule(durationMs);
  scheduleFaults(world, durationMs);
  return durationMs;
}

/** What befalls the clocks, the database and what is done by readers of ill will. */
function scheduleFaults(world: World, durationMs: number): void {
  const { random, clock, faults } = world;
  const at = (): number => random.int(500, durationMs);
  scheduleTime(world, at);
  if (random.chance(0.3)) {
    clock.after(at(), () => deafReader(world));
  }
  if (random.chance(0.3)) {
    clock.after(at(), () => {
      faults.note('storeOutage');
      world.breakDatabase(random.pick([300, 3_000, 20_000]));
    });
  }
}

/** What befalls the clocks of all: together less than the 24 h for which replies are kept. */
function scheduleTime({ random, clock, faults, trace }: World, at: () => number): void {
  for (let i = random.pick([0, 0, 1, 2]); i > 0; i--) {
    clock.after(at(), () => {
      const byMs = random.pick([90_000, 600_000, HOUR_MS, 6 * HOUR_MS]);
      trace.add(() => `the wall clock jumps by ${byMs} ms`);
      clock.jump(byMs);
      faults.note('clockJump');
    });
  }
  if (!random.chance(0.2)) return;
  clock.after(at(), () => {
    const forMs = random.pick([2_000, 30_000, 900_000]);
    trace.add(() => `everything sleeps for ${forMs} ms`);
    clock.sleep(forMs);
    faults.note('sleep');
  });
}

function act(world: World, action: Action): void {
  const { random, trace } = world;
  const device = random.pick(world.devices);
  const { name, owner, role } = device.options;
  if (!device.isOpen) return;
  const mine = [...world.chats].filter(([, of]) => of === owner || role === 'auditor').map(([chat]) => chat);
  trace.add(() => `${name} ${action}`);
  if (action === 'create') {
    void device.create(mine.length > 0 && random.chance(0.4) ? random.pick(mine) : null);
    return;
  }
  if (action === 'leave') return leave(world, device);
  if (action === 'browse') return browse(device);
  if (action === 'repeat') return repeat(world, device);
  if (action === 'trespass') return trespass(world, device);
  if (action === 'gather') return gather(world, owner, mine);
  if (mine.length > 0) actOn(world, device, random.pick(mine), action);
}

function actOn(
  world: World,
  device: Device,
  chat: ChatId,
  action: Exclude<Action, 'create' | 'leave' | 'browse' | 'repeat' | 'trespass' | 'gather'>,
): void {
  const { random } = world;
  switch (action) {
    case 'send': {
      const text = random.chance(0.03) ? LARGE_TEXT : `message ${random.int(0, 1_000)} 😀`;
      void device.send(chat, text, random.pick(BUSY));
      return;
    }
    case 'stop':
      void device.stop(chat, { tree: world.stopsTrees });
      return;
    case 'rename':
      void device.rename(chat, `title ${random.int(0, 1_000)}`);
      return;
    case 'label':
      void device.setLabels(chat, { label: String(random.int(0, 9)) });
      return;
    case 'archive':
      void device.archive(chat, true);
      return;
    case 'unarchive':
      void device.archive(chat, false);
      return;
    case 'attach':
      device.handle(chat).attach();
      return;
    case 'detach':
      device.detach(chat);
      return;
    case 'page':
      // It may fail in any way; what it brings is checked like everything else that changes the state.
      device
        .handle(chat)
        .loadOlder(random.int(1, 5))
        .catch(() => undefined);
      return;
    case 'probe':
      probe(world, chat);
      return;
    default:
      action satisfies never;
  }
}

/** All of a tree is set to work, and then stopped from its top. */
function stopTree({ random, clock, tables, devices, chats }: World): void {
  const below = [...tables.chats.values()].map(({ chat }) => chat).filter(({ parent }) => parent !== null);
  const known = below.filter(({ id }) => chats.has(id));
  if (known.length === 0) return;
  const { root, owner } = random.pick(known);
  const device = devices.find(({ options, isOpen }) => options.owner === owner && isOpen);
  if (device === undefined) return;
  for (const { id } of known.filter((one) => one.root === root)) void device.send(id, 'all of you', 'queue');
  clock.after(random.pick([100, 500, 2_000]), () => void device.stop(root, { tree: true }));
}

/** The device is put away, and comes back with its old cursors after a moment or a long time. */
function leave(world: World, device: Device): void {
  const { random, clock } = world;
  device.close();
  clock.after(random.pick([0, 200, 3_000, 30_000]), () => device.open());
}

/** A command that was sent before is sent again by any device of the same person. */
function repeat(world: World, device: Device): void {
  const sent = [...world.sent.values()].filter(({ owner }) => owner === device.options.owner);
  if (sent.length > 0) void device.repeat(world.random.pick(sent));
}

/** Reaches for somebody else's chat: it looks like none. */
function trespass(world: World, device: Device): void {
  const { owner, role } = device.options;
  const foreign = [...world.chats].filter(([, of]) => of !== owner).map(([chat]) => chat);
  if (foreign.length === 0 || role === 'auditor') return;
  device.trespass(world.random.pick(foreign));
}

/** All devices of a person follow one chat, and one of them says something. */
function gather({ devices, random }: World, owner: string, mine: readonly ChatId[]): void {
  const together = devices.filter(({ options, isOpen }) => options.owner === owner && isOpen);
  if (mine.length === 0 || together.length === 0) return;
  const chat = random.pick(mine);
  for (const device of together) device.handle(chat).attach();
  void random.pick(together).send(chat, 'all together', 'queue');
}

/** Asks for more than a slow reader can take: its session is given up then, and comes back (P9). */
function browse(device: Device): void {
  for (let i = 0; i < 6; i++) device.client.list({ limit: 100 }).catch(() => undefined);
}
