// What one scrape sees of a node, and how a metric is written down: its name, its help, its labels and where it is read.

import type { ActorCounts, ProviderCounts } from '../../actors/chat/counts.ts';
import type { ClusterMeasure } from '../../actors/cluster/cluster.ts';
import type { ClusterCounts } from '../../actors/cluster/counts.ts';
import type { ActorsMeasure } from '../../actors/host/measure.ts';
import type { CloseReason } from '../../protocol/close-codes.ts';
import type { Tally } from '../../protocol/measures.ts';
import type { StoreCounts } from '../../storage/counts.ts';
import type { StoreMeasure } from '../../storage/store.ts';
import type { GatewayCounts, SessionsMeasure } from '../counts.ts';
import type { FeedsStats } from '../feeds.ts';
import type { TraceCounts } from '../tracing/tracing.ts';
import type { ProcessMeasure } from './process-meter.ts';
import type { Sample } from './pulled.ts';

/** All that one scrape sees: what was counted since the start, and what there is at this moment. */
export type View = {
  readonly gateway: GatewayCounts;
  /** Connections that are no sessions (yet). */
  readonly unfinished: number;
  readonly closed: ReadonlyMap<CloseReason | 'gone', number>;
  readonly sessions: SessionsMeasure;
  readonly feeds: FeedsStats & { readonly framesSent: number };
  readonly chats: ActorCounts;
  readonly actors: ActorsMeasure;
  readonly store: StoreCounts;
  readonly database: StoreMeasure;
  /** Of a node that stands alone it never changes. */
  readonly cluster: ClusterCounts;
  /** Null: the node stands alone. */
  readonly among: ClusterMeasure | null;
  readonly spans: TraceCounts;
  readonly process: ProcessMeasure;
};

type Plain<Name, Type> = {
  readonly name: Name;
  readonly type: Type;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (view: View) => Iterable<Sample<number>>;
};

type Read<Value> = (view: View) => Value;

export function gauge<const Name extends string>(name: Name, help: string, read: Read<number>): Plain<Name, 'gauge'> {
  return { name, type: 'gauge', help, labels: [], read: (view) => one(read(view)) };
}

export function counter<const Name extends string>(
  name: Name,
  help: string,
  read: Read<number>,
): Plain<Name, 'counter'> {
  return { name, type: 'counter', help, labels: [], read: (view) => one(read(view)) };
}

type Counts = Iterable<readonly [string, number]>;

export function gaugeBy<const Name extends string>(
  name: Name,
  help: string,
  label: string,
  read: Read<Counts>,
): Plain<Name, 'gauge'> {
  return { name, type: 'gauge', help, labels: [label], read: (view) => by(label, read(view)) };
}

export function counterBy<const Name extends string>(
  name: Name,
  help: string,
  label: string,
  read: Read<Counts>,
): Plain<Name, 'counter'> {
  return { name, type: 'counter', help, labels: [label], read: (view) => by(label, read(view)) };
}

export function one(value: number): readonly Sample<number>[] {
  return [[{}, value]];
}

export function by(label: string, values: Iterable<readonly [string, number]>): readonly Sample<number>[] {
  return [...values].map(([key, value]) => [{ [label]: key }, value] as const);
}

export function count(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0;
}

/** Of a tally whose keys are words with a space between. */
export function byWords(labels: readonly string[], tally: Tally<string>): readonly Sample<number>[] {
  return [...tally.counts].map(([key, value]) => {
    const words = key.split(' ');
    return [Object.fromEntries(labels.map((label, i) => [label, words[i] ?? ''])), value] as const;
  });
}

export function providers<Value>(
  chats: ActorCounts,
  read: (counts: ProviderCounts) => Iterable<Sample<Value>>,
): readonly Sample<Value>[] {
  return [...chats.providers].flatMap(([provider, counts]) =>
    [...read(counts)].map(([labels, value]) => [{ provider, ...labels }, value] as const),
  );
}
