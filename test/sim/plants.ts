// Defects that the simulation must find: each is laid around the real parts, and a run with it has to go red. A simulation
// that stays green over a planted defect looks at nothing.

import { Draft } from '../../actors/chat/draft.ts';
import { StepWriter } from '../../actors/chat/step-writer.ts';
import type { Attached, ReadableLog } from '../../actors/host/api.ts';
import type { ChatStore } from '../../actors/ports.ts';
import type { Authenticate } from '../../gateway/authentication.ts';
import { Flusher, type Flushable } from '../../gateway/flush.ts';
import { decodeServerMessage, encodeEventFrame, joinFrames } from '../../protocol/codec.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { ServerFrame } from '../../protocol/frames.ts';
import { uuidToBytes } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { scan, SERVER_SCAN_LIMITS } from '../../protocol/scanner.ts';
import { override } from './audit.ts';
import { CLUSTER_PLANTS, type ClusterPlantName } from './cluster-plants.ts';
import type { Shape } from './faults.ts';
import { MemoryStore } from './memory-store.ts';
import type { Plant } from './world.ts';

/** Some frames are spared, so that a defect is one of single events and not of everything. */
const EVERY = 5;

const PLANTS = {
  /** A delta vanishes from what a session sends. */
  dropDelta: () => ({ host: (host) => ({ ...bound(host), attach: attachWith(host, withoutSomeDeltas) }) }),
  /** A client appends the text of a delta twice. */
  doubleApply: () => ({ tamper: doublesSomeDeltas }),
  /** Replies and events go out before their commit. */
  ackBeforeCommit: () => ({
    store: (store) =>
      override(store, {
        commit: (intent) => {
          void store.commit(intent);
          return Promise.resolve({ outcome: 'committed' });
        },
      }),
  }),
  /** Whoever is resumed misses the first event after the cursor. */
  resumeOffByOne: () => ({ host: (host) => ({ ...bound(host), attach: attachWith(host, fromOneLater) }) }),
  /** The database takes the commits of epochs that are over. */
  staleEpoch: () => ({ database: withoutEpochCheck }),
  /** Text is shown though the provider's run of it was never saved: whoever comes next cannot take it up. */
  unsavedRun: () => ({
    store: (store) => override(store, { commit: (intent) => store.commit({ ...intent, attemptsReferenced: [] }) }),
  }),
  /** A failed attempt that is tried again does not take its text back. */
  missingReset: () => ({ patch: swallowResets }),
  /** Text that is to be saved first is shown first. */
  shownUnsaved: () => ({ journal: 'shown', patch: showEarly }),
  /** What chats below are told, nobody hears. */
  deaf: () => ({ store: withoutTold }),
  /** A reader that has fallen behind misses the first event when it goes on. */
  pausedLoses: () => ({ host: (host) => ({ ...bound(host), attach: attachWith(host, fromOneLaterWhenBehind) }) }),
  /** A session does not see that its reader takes nothing: it is never paused. */
  unboundedBuffer: () => ({ socket: (socket) => ({ ...socket, bufferedBytes: () => 0 }) }),
  /** A client that asks without reading is never closed. */
  unboundedOutbox: () => ({ limits: (limits) => ({ ...limits, outboxHardBytes: Infinity }) }),
  /** Now and then a session has to wait until another one has something to send. */
  othersWait: () => ({ patch: flushLate }),
  /** A credential counts for an hour more than it says. */
  lateExpiry: () => ({ authenticate: withLongerLife }),
} as const satisfies Record<string, () => Plant>;

export type PlantName = keyof typeof PLANTS | ClusterPlantName;

/** By the shape of the runs that must find them; those of one node are found among several, too. */
export const PLANT_NAMES: Readonly<Record<Shape, readonly PlantName[]>> = {
  alone: Object.keys(PLANTS) as PlantName[],
  cluster: Object.keys(CLUSTER_PLANTS) as PlantName[],
};

/** Nothing is planted without a name. */
export function planted(name: PlantName | null): Plant {
  const all: Readonly<Record<PlantName, () => Plant>> = { ...PLANTS, ...CLUSTER_PLANTS };
  return name === null ? {} : all[name]();
}

// ------------------------------------------------------------------------------------------------------- logs

type Host = Parameters<NonNullable<Plant['host']>>[0];
type ChangeLog = (log: ReadableLog, outcome: 'resumed' | 'snapshot') => ReadableLog;

function bound(host: Host): Host {
  return {
    attach: (...args) => host.attach(...args),
    command: (...args) => host.command(...args),
    query: (...args) => host.query(...args),
  };
}

function attachWith(host: Host, change: ChangeLog): Host['attach'] {
  return async (...args): Promise<Attached> => {
    const attached = await host.attach(...args);
    return 'log' in attached ? { ...attached, log: change(attached.log, attached.outcome) } : attached;
  };
}

function logWith(log: ReadableLog, read: ReadableLog['read']): ReadableLog {
  return {
    chat: log.chat,
    get top() {
      return log.top;
    },
    read,
  };
}

function withoutSomeDeltas(log: ReadableLog): ReadableLog {
  let count = 0;
  return logWith(log, (cursor, bytesMax) => {
    const result = log.read(cursor, bytesMax);
    if (result === null) return null;
    const kept = splitFrames(result.bytes).filter((bytes) => !isDelta(bytes) || ++count % EVERY !== 0);
    return { ...result, bytes: joinFrames(kept) };
  });
}

function fromOneLater(log: ReadableLog, outcome: 'resumed' | 'snapshot'): ReadableLog {
  let isFirst = outcome === 'resumed';
  return logWith(log, (cursor, bytesMax) => {
    const isBelow = cursor.epoch === log.top.epoch && cursor.seq < log.top.seq;
    const from: Position = isFirst && isBelow ? { ...cursor, seq: cursor.seq + 1 } : cursor;
    isFirst = false;
    return log.read(from, bytesMax);
  });
}

/** So far behind that it has surely been paused, or was away. */
const BEHIND = 4;

function fromOneLaterWhenBehind(log: ReadableLog): ReadableLog {
  return logWith(log, (cursor, bytesMax) => {
    const isBehind = cursor.epoch === log.top.epoch && log.top.seq - cursor.seq > BEHIND;
    return log.read(isBehind ? { ...cursor, seq: cursor.seq + 1 } : cursor, bytesMax);
  });
}

function doublesSomeDeltas(): (bytes: Uint8Array) => Uint8Array {
  let count = 0;
  return (bytes) =>
    joinFrames(
      splitFrames(bytes).map((frame) => {
        if (!isDelta(frame) || ++count % EVERY !== 0) return frame;
        const [decoded] = decodeServerMessage(frame);
        return decoded?.op === 'event' ? doubled(decoded) : frame;
      }),
    );
}

function doubled({ chat, position, span, event }: ServerFrame & { readonly op: 'event' }): Uint8Array {
  const twice = 'text' in event ? { ...event, text: event.text + event.text } : event;
  return encodeEventFrame(uuidToBytes(chat), { position, span, event: twice });
}

function isDelta(bytes: Uint8Array): boolean {
  const [frame] = decodeServerMessage(bytes);
  return frame?.op === 'event' && frame.event.kind === 'block' && frame.event.type === 'delta';
}

function splitFrames(bytes: Uint8Array): Uint8Array[] {
  const ends = bytes.length === 0 ? [] : scan(bytes, SERVER_SCAN_LIMITS).ends;
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

// ------------------------------------------------------------------------------------------- database, actor

export function withoutEpochCheck(store: ChatStore): ChatStore {
  if (!(store instanceof MemoryStore)) return store;
  return override(store, {
    commit: (intent) => {
      const epoch = store.tables.chats.get(intent.chat)?.epoch ?? intent.epoch;
      return store.commit({ ...intent, epoch });
    },
  });
}

function withoutTold(store: ChatStore): ChatStore {
  return override(store, {
    due: async (...args) => {
      const due = await store.due(...args);
      return due.outcome === 'read' ? { ...due, value: { ...due.value, told: [] } } : due;
    },
  });
}

function withLongerLife(authenticate: Authenticate): Authenticate {
  return async (token) => {
    const authentication = await authenticate(token);
    if (authentication.outcome !== 'accepted') return authentication;
    const { credential } = authentication;
    const expiresAtMs = credential.expiresAtMs + 3_600_000;
    return { outcome: 'accepted', credential: { ...credential, expiresAtMs } };
  };
}

function flushLate(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its flusher as `this`
  const mark = Flusher.prototype.mark;
  const held = new Set<Flushable>();
  let count = 0;
  Flusher.prototype.mark = function late(this: Flusher, session: Flushable): void {
    if (++count % EVERY === 0) {
      held.add(session);
      return;
    }
    for (const waiting of held) mark.call(this, waiting);
    held.clear();
    mark.call(this, session);
  };
  return () => {
    Flusher.prototype.mark = mark;
  };
}

function showEarly(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its writer as `this`
  const takePack = StepWriter.prototype.takePack;
  StepWriter.prototype.takePack = function early(this: StepWriter): ReturnType<typeof takePack> {
    const taken = takePack.call(this);
    for (const event of taken?.events ?? []) this.options.log.append(event);
    return taken === null ? null : { ...taken, events: [] };
  };
  return () => {
    StepWriter.prototype.takePack = takePack;
  };
}

function swallowResets(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its draft as `this`
  const push = Draft.prototype.push;
  Draft.prototype.push = function swallowing(this: Draft, event: ChatEvent): Position {
    return event.kind === 'step' && event.type === 'reset' ? this.nextPosition() : push.call(this, event);
  };
  return () => {
    Draft.prototype.push = push;
  };
}
