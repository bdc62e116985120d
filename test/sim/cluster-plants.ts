// Defects between nodes that the simulation of a cluster must find.

import { Calls } from '../../actors/cluster/calls.ts';
import { InLinks } from '../../actors/cluster/in-links.ts';
import { CLUSTER_LIMITS } from '../../actors/cluster/limits.ts';
import { type CopiedFrame, StreamLog } from '../../actors/chat/stream-log.ts';
import { uuidV7, type CommandId } from '../../protocol/ids.ts';
import { MemoryNodes } from './memory-nodes.ts';
import { SimRandom } from './random.ts';
import type { Plant } from './world.ts';

/** Longer than anything in a run is waited for, and short enough for what a run lingers for behind it. */
const FOR_EVER_MS = 600_000;

export const CLUSTER_PLANTS = {
  /** Whatever comes on a link is taken for what comes next. */
  holesPass: () => ({ patch: () => both(holesPassLinks(), holesPassMirrors()) }),
  /** A node is not told that it was declared dead. */
  deadUntold: () => ({ patch: renewTheDead }),
  /** What a mirror asks that goes on is asked once. */
  asksOnce: () => ({ patch: () => withLimit('followTryMs', FOR_EVER_MS) }),
  /** Nobody minds that a link is silent. */
  silencePasses: () => ({ patch: () => withLimit('silentMs', FOR_EVER_MS) }),
  /** A command that is tried again at its owner is another one to it. */
  triesAnew: () => ({ patch: renameSecondTries }),
} as const satisfies Record<string, () => Plant>;

export type ClusterPlantName = keyof typeof CLUSTER_PLANTS;

function both(...undo: readonly (() => void)[]): () => void {
  return () => {
    for (const one of undo) one();
  };
}

function holesPassLinks(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its links as `this`
  const { received } = InLinks.prototype;
  const last = new WeakMap<InLinks, Map<string, number>>();
  InLinks.prototype.received = function trusting(this: InLinks, ...[from, number, , items]): void {
    const seqs = last.get(this) ?? new Map<string, number>();
    last.set(this, seqs);
    const next = (seqs.get(`${from} ${number}`) ?? 0) + 1;
    seqs.set(`${from} ${number}`, next);
    received.call(this, from, number, next, items);
  };
  return () => {
    InLinks.prototype.received = received;
  };
}

function holesPassMirrors(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its log as `this`
  const { take } = StreamLog.prototype;
  StreamLog.prototype.take = function trusting(this: StreamLog, frame: CopiedFrame): boolean {
    const span = Math.max(1, frame.position.seq - this.top.seq);
    return take.call(this, frame.position.seq > this.top.seq ? { ...frame, span } : frame);
  };
  return () => {
    StreamLog.prototype.take = take;
  };
}

function renewTheDead(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its nodes as `this`
  const { beat } = MemoryNodes.prototype;
  MemoryNodes.prototype.beat = async function untold(this: MemoryNodes, mark: boolean) {
    const told = await beat.call(this, mark);
    return told.outcome === 'read' ? { outcome: 'read', value: { ...told.value, renewed: true } } : told;
  };
  return () => {
    MemoryNodes.prototype.beat = beat;
  };
}

function withLimit(name: 'followTryMs' | 'silentMs', value: number): () => void {
  const limits = CLUSTER_LIMITS as { [key in typeof name]: number };
  const before = limits[name];
  limits[name] = value;
  return () => {
    limits[name] = before;
  };
}

function renameSecondTries(): () => void {
  // eslint-disable-next-line typescript/unbound-method -- it is called with its calls as `this`
  const { call } = Calls.prototype;
  const random = new SimRandom(1);
  const tried = new Set<CommandId>();
  Calls.prototype.call = function renaming(this: Calls, peer, asked) {
    if (asked.type !== 'command' || !tried.has(asked.id)) {
      if (asked.type === 'command') tried.add(asked.id);
      return call.call(this, peer, asked);
    }
    const id = uuidV7<CommandId>(Number.parseInt(asked.id.replace('-', '').slice(0, 12), 16), random.bytes(10));
    return call.call(this, peer, { ...asked, id });
  };
  return () => {
    Calls.prototype.call = call;
  };
}
