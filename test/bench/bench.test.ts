// That each benchmark runs, checks what it receives and writes its figures. What the figures are is not judged here: the
// machine is shared with everything else that the tests do.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemBytes } from './slow/stopped-reader.ts';

type SlowRun = { readonly deltas: number; readonly p99Ms: number; readonly bytesLate: number | null };

type Report = {
  readonly bench: string;
  readonly void: boolean;
  readonly faults: readonly string[];
  readonly aims: Readonly<Record<string, unknown>>;
  readonly ratios?: Readonly<Record<string, number>>;
  readonly bytes?: Readonly<Record<string, number>>;
  readonly runs?: Readonly<Record<string, readonly SlowRun[]>>;
  readonly machine: { readonly cores: number };
};

/** Readers of a quick run of `slow`, and of its 60 deltas how many each measures at least, the first ones aside. */
const SLOW_READERS = 19;
const SLOW_DELTAS_MIN = 20;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-bench-test-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function quick(name: string): Promise<Report> {
  const file = join(folder, `${name}.json`);
  const main = new URL('main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, name, '--quick', '--json', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, said).toBe(0);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

describe('npm run bench', () => {
  test('[bench] fanout: every receiver gets every event in its order, and the ratios are written', async () => {
    const report = await quick('fanout');
    expect(report).toMatchObject({ bench: 'fanout', void: false, faults: [] });
    expect(Object.keys(report.ratios ?? {})).toEqual(['uws', 'ws']);
    for (const ratio of Object.values(report.ratios ?? {})) expect(ratio).toBeGreaterThan(0);
    expect(Object.keys(report.aims)).toEqual(['ratios.uws', 'ratios.ws', 'met']);
    expect(report.machine.cores).toBeGreaterThan(0);
  });

  test('[P9] slow: every reader gets every event, a stopped one when it reads again, and the figures are written', async () => {
    const report = await quick('slow');
    // What its figures are is judged by a whole run only: this one has to have measured, with a reader that had stopped.
    expect(report).toMatchObject({ bench: 'slow', void: false, faults: [] });
    const [without, stopped] = [report.runs?.without?.[0], report.runs?.with?.[0]];
    for (const run of [without, stopped]) {
      expect(run?.deltas).toBeGreaterThan(SLOW_READERS * SLOW_DELTAS_MIN);
      expect(run?.p99Ms).toBeGreaterThan(0);
    }
    expect(without?.bytesLate).toBeNull();
    // More than the system holds for a socket was left for later: the node had paused the session.
    expect(stopped?.bytesLate).toBeGreaterThan(systemBytes());
  });

  test('[bench] commit: every acknowledged send is there, and the ratio is written', async () => {
    const report = await quick('commit');
    expect(report).toMatchObject({ bench: 'commit', void: false, faults: [] });
    expect(report.ratios?.['insert']).toBeGreaterThan(0);
  });

  test('[bench] ingest: every adapter reads the text that the SDK read, and the ratios are written', async () => {
    const report = await quick('ingest');
    expect(report).toMatchObject({ bench: 'ingest', void: false, faults: [] });
    expect(Object.keys(report.ratios ?? {})).toEqual(['anthropic', 'openai']);
    for (const ratio of Object.values(report.ratios ?? {})) expect(ratio).toBeGreaterThan(0);
  });

  test('[bench] memory: every session is live and attached, every actor idle, and the bytes are written', async () => {
    const report = await quick('memory');
    expect(report).toMatchObject({ bench: 'memory', void: false, faults: [] });
    expect(Object.keys(report.bytes ?? {})).toEqual(['session', 'actor']);
  });

  test('[cluster 2.5] heartbeats: all chats are resident, and the statements of their ownership are counted', async () => {
    const report = await quick('heartbeats');
    expect(report).toMatchObject({ bench: 'heartbeats', void: false, faults: [] });
    expect(report.aims).toMatchObject({ met: true });
  });
});
