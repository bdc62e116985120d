// `npm run chaos -- kill`, small: real processes that are killed while chats stream, judged by the history checker.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HistoryChecker, type Verdict } from '../../loadtest/check/checker.ts';
import { parseRecord, type HistoryRecord } from '../../loadtest/check/history.ts';
import { parseArguments } from './options.ts';
import { runScenario } from './run.ts';
import { kill } from './scenarios/kill.ts';

/** About two minutes of them. */
const FAULTS = 22;

function readHistory(file: string): readonly HistoryRecord[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => parseRecord(line) as HistoryRecord);
}

function judge(records: readonly HistoryRecord[]): Verdict {
  const checker = new HistoryChecker();
  for (const record of records) checker.add(record);
  return checker.end();
}

test('[P1][P2][P3][P4][P5][P12] kill -9 of one of three nodes while chats stream: what their clients saw breaks no rule', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-chaos-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const history = join(folder, 'history.jsonl');
  const seed = Date.now() % 1_000_000_007;
  const report = await runScenario({
    name: 'kill',
    scenario: kill,
    isQuick: true,
    isOverlapping: false,
    journal: 'batched',
    nodes: null,
    chats: 12,
    faults: FAULTS,
    seed,
    history,
    say: (line) => console.info(line),
  });
  console.info(JSON.stringify(report));
  expect(report.broken).toEqual([]);
  expect([report.violations, report.faults]).toEqual([0, FAULTS]);

  // The file holds all of it: the same verdict, and it is no verdict on nothing.
  const records = readHistory(history);
  const { count, looked } = judge(records);
  expect([count, looked]).toEqual([0, report['looked']]);
  expect(looked).toMatchObject({ clients: 24, chats: 12, freshCompared: 24, answers: 12, faults: FAULTS });
  // What a single kill strikes is chance: a node that has just come back has no clients and few chats. Many do strike.
  for (const seen of ['twins', 'turnsSaid', 'owners', 'rows', 'retractions', 'lostConnections'] as const) {
    expect(looked[seen], seen).toBeGreaterThan(FAULTS);
  }
  // A message that one client was shown and that is not there in the end would have been found.
  const lossy = records.map((one) =>
    one.type === 'page' ? { ...one, messages: one.messages.filter(({ role }) => role !== 'user') } : one,
  );
  expect(judge(lossy).violations.map(({ rule }) => rule)).toContain('a');
}, 400_000);

describe('[chaos] the command line', () => {
  test.each([
    [[], 'Name a scenario: '],
    [['nothing'], 'There is no scenario "nothing".'],
    [['kill', 'kill'], 'One scenario at a time, or all.'],
    [['kill', '--faults', '0'], '--faults is a whole number above 0, not "0".'],
    [['kill', '--journal', 'never'], '--journal is batched or shown, not "never".'],
    [['kill', '--fast'], "Unknown option '--fast'. See --help."],
  ])('says what is wrong with %j', (args, fault) => {
    const parsed = parseArguments(args);
    expect(parsed.outcome === 'fault' ? parsed.fault : '').toContain(fault);
  });

  test('takes one scenario or all of them, and names them in its help', () => {
    const all = parseArguments(['all', '--quick']);
    const names = all.outcome === 'arguments' ? all.given.scenarios.map(([name]) => name) : [];
    expect(names).toContain('kill');
    const help = parseArguments(['--help']);
    for (const name of names) expect(help.outcome === 'help' ? help.text : '').toContain(`npm run chaos -- ${name}`);
    const one = parseArguments(['kill', '--quick', '--seed', '7']);
    expect(one).toMatchObject({ outcome: 'arguments', given: { isQuick: true, chats: null, seed: 7, json: null } });
  });
});
