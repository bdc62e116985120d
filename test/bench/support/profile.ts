// Where the time goes, from a CPU profile of V8.

import type { Profiler } from 'node:inspector';

export type CpuProfile = Profiler.Profile;

/** A part of the path: its name, and the functions that are it, by file and name. */
export type Part = { readonly name: string; readonly covers: RegExp };

export type Share = { readonly name: string; readonly share: number };

/**
 * The share of each part in the busy time, by the time spent in its functions themselves. Functions that no part covers
 * count for the nearest caller that is covered, so that a helper of the runtime shows where it was called.
 */
export function sharesOf(profile: CpuProfile, parts: readonly Part[]): readonly Share[] {
  const times = selfTimes(profile);
  const totals = new Map<string, number>();
  let busy = 0;
  const parents = new Map<number, Profiler.ProfileNode>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node);
  for (const node of profile.nodes) {
    const time = times.get(node.id) ?? 0;
    if (time === 0 || node.callFrame.functionName === '(idle)') continue;
    busy += time;
    const name = partOf(node, parents, parts);
    totals.set(name, (totals.get(name) ?? 0) + time);
  }
  return [...totals]
    .map(([name, time]) => ({ name, share: Number((time / busy).toFixed(3)) }))
    .sort((a, b) => b.share - a.share);
}

/** The functions that took most time themselves. */
export function topFunctions(profile: CpuProfile, count: number): readonly Share[] {
  return sharesByFunction(profile).slice(0, count);
}

function sharesByFunction(profile: CpuProfile): readonly Share[] {
  const times = selfTimes(profile);
  const totals = new Map<string, number>();
  let busy = 0;
  for (const node of profile.nodes) {
    const time = times.get(node.id) ?? 0;
    if (time === 0 || node.callFrame.functionName === '(idle)') continue;
    busy += time;
    const name = frameName(node);
    totals.set(name, (totals.get(name) ?? 0) + time);
  }
  return [...totals]
    .map(([name, time]) => ({ name, share: Number((time / busy).toFixed(3)) }))
    .sort((a, b) => b.share - a.share);
}

function selfTimes(profile: CpuProfile): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  const { samples = [], timeDeltas = [] } = profile;
  for (const [i, id] of samples.entries()) times.set(id, (times.get(id) ?? 0) + Math.max(0, timeDeltas[i] ?? 0));
  return times;
}

function partOf(
  node: Profiler.ProfileNode,
  parents: ReadonlyMap<number, Profiler.ProfileNode>,
  parts: readonly Part[],
): string {
  for (let at: Profiler.ProfileNode | undefined = node; at !== undefined; at = parents.get(at.id)) {
    const name = frameName(at);
    const part = parts.find(({ covers }) => covers.test(name));
    if (part !== undefined) return part.name;
  }
  return 'other';
}

/** `file.ts function`, or what V8 calls it. */
function frameName({ callFrame }: Profiler.ProfileNode): string {
  const file = callFrame.url.split('/').slice(-2).join('/');
  return `${file} ${callFrame.functionName || '(anonymous)'}`.trim();
}
