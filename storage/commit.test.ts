import { expect, test } from 'vitest';

import type { CommitIntent, CommitResult } from '../actors/ports.ts';
import type { ChatId, Epoch } from '../protocol/ids.ts';
import { GroupCommit, intentBytes } from './commit.ts';
import { StoreCounts } from './counts.ts';
import { storeLimits, type StoreLimits } from './limits.ts';

const COMMITTED: CommitResult = { outcome: 'committed' };

function intentOf(chat: string, label: string, epoch = 1): CommitIntent {
  return {
    chat: chat as ChatId,
    epoch: epoch as Epoch,
    atMs: 0,
    requireUnarchived: false,
    patch: { title: label },
    listed: false,
    fed: false,
    messages: [],
    enqueue: [],
    enqueueFirst: [],
    dequeue: [],
    commands: [],
    attemptsOpened: [],
    attemptsReferenced: [],
    attemptsSettled: [],
    journal: [],
    clearJournal: false,
    retract: null,
  };
}

/** A database that answers when the test says so. */
class SlowWriter {
  readonly batches: { readonly labels: readonly string[]; answer(results?: readonly CommitResult[]): void }[] = [];
  #arrivals: (() => void)[] = [];
  readonly write = (intents: readonly CommitIntent[]): Promise<readonly CommitResult[]> =>
    new Promise((resolve) => {
      this.batches.push({
        labels: intents.map((intent) => intent.patch.title ?? ''),
        answer: (results) => resolve(results ?? intents.map(() => COMMITTED)),
      });
      for (const arrival of this.#arrivals.splice(0)) arrival();
    });
  async batch(index: number): Promise<SlowWriter['batches'][number]> {
    for (;;) {
      const batch = this.batches[index];
      if (batch !== undefined) return batch;
      await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    }
  }
}

function setUp(overrides: Partial<StoreLimits> = {}): { readonly writer: SlowWriter; readonly commits: GroupCommit } {
  const writer = new SlowWriter();
  return { writer, commits: new GroupCommit(writer.write, storeLimits(overrides), new StoreCounts()) };
}

test('[P3] what arrives within the window goes together', async () => {
  const { writer, commits } = setUp();
  const results = [commits.commit(intentOf('a', 'a1')), commits.commit(intentOf('b', 'b1'))];
  const batch = await writer.batch(0);
  expect(batch.labels).toEqual(['a1', 'b1']);
  batch.answer();
  expect(await Promise.all(results)).toEqual([COMMITTED, COMMITTED]);
  expect(commits.stats).toEqual({ waitingIntents: 0, waitingBytes: 0, batches: 0 });
});

test('[P2] a chat is in one batch at a time, with one intent', async () => {
  const { writer, commits } = setUp({ batchesInFlight: 3 });
  const results = ['a1', 'a2', 'a3'].map((label) => commits.commit(intentOf('a', label)));
  const first = await writer.batch(0);
  results.push(commits.commit(intentOf('b', 'b1')));
  const second = await writer.batch(1);
  expect([first.labels, second.labels]).toEqual([['a1'], ['b1']]);
  second.answer();
  first.answer();
  (await writer.batch(2)).answer();
  (await writer.batch(3)).answer();
  expect(writer.batches.slice(2).map((batch) => batch.labels)).toEqual([['a2'], ['a3']]);
  expect(await Promise.all(results)).toEqual([COMMITTED, COMMITTED, COMMITTED, COMMITTED]);
});

test('[P2] behind a refused intent nothing of its activation goes, another one’s does', async () => {
  const refusals: readonly (readonly [CommitResult, CommitResult['outcome']])[] = [
    [{ outcome: 'stale' }, 'stale'],
    [{ outcome: 'archived' }, 'unavailable'],
    [{ outcome: 'rejected', sqlstate: '23505', detail: '' }, 'unavailable'],
    [{ outcome: 'unavailable', detail: '' }, 'unavailable'],
    [{ outcome: 'unknown', detail: '' }, 'unavailable'],
  ];
  for (const [refusal, expected] of refusals) {
    const { writer, commits } = setUp();
    const refused = commits.commit(intentOf('a', 'a1'));
    const behind = commits.commit(intentOf('a', 'a2'));
    const next = commits.commit(intentOf('a', 'new', 2));
    (await writer.batch(0)).answer([refusal]);
    expect(await refused).toEqual(refusal);
    expect((await behind).outcome).toBe(expected);
    const batch = await writer.batch(1);
    expect(batch.labels).toEqual(['new']);
    batch.answer();
    expect(await next).toEqual(COMMITTED);
  }
});

test('[P11] batches are bounded by intents, by bytes and in number', async () => {
  const { writer, commits } = setUp({ batchIntents: 2, batchBytes: 2_500, batchesInFlight: 2 });
  const results = ['a', 'b', 'c'].map((chat) => commits.commit(intentOf(chat, chat)));
  const large = { ...intentOf('d', 'd'), journal: [packOf(1_500)] };
  results.push(commits.commit(large), commits.commit({ ...large, chat: 'e' as ChatId, patch: { title: 'e' } }));
  expect((await writer.batch(0)).labels).toEqual(['a', 'b']);
  expect((await writer.batch(1)).labels).toEqual(['c', 'd']);
  expect(commits.stats).toMatchObject({ batches: 2, waitingIntents: 1 });
  writer.batches[0]?.answer();
  const third = await writer.batch(2);
  expect(third.labels).toEqual(['e']);
  third.answer();
  writer.batches[1]?.answer();
  expect(await Promise.all(results)).toHaveLength(5);
});

test('[P11] more than may wait is refused, and certainly not applied', async () => {
  const { writer, commits } = setUp({ waitingIntents: 3, batchesInFlight: 1 });
  const first = commits.commit(intentOf('a', 'a1'));
  await writer.batch(0);
  const waiting = ['b', 'c', 'd'].map((chat) => commits.commit(intentOf(chat, chat)));
  expect(await commits.commit(intentOf('e', 'e'))).toMatchObject({ outcome: 'unavailable' });
  writer.batches[0]?.answer();
  (await writer.batch(1)).answer();
  expect(await Promise.all([first, ...waiting])).toEqual([COMMITTED, COMMITTED, COMMITTED, COMMITTED]);
});

test('[P11] bytes that wait are bounded too; one that is larger than all goes alone', async () => {
  const { writer, commits } = setUp({ waitingBytes: 5_000, batchBytes: 5_000, batchesInFlight: 1 });
  const first = commits.commit(intentOf('a', 'a'));
  await writer.batch(0);
  const giant = { ...intentOf('b', 'giant'), journal: [packOf(50_000)] };
  expect(intentBytes(giant)).toBeGreaterThan(50_000);
  const alone = commits.commit(giant);
  expect(await commits.commit(intentOf('c', 'c'))).toMatchObject({ outcome: 'unavailable' });
  writer.batches[0]?.answer();
  const second = await writer.batch(1);
  expect(second.labels).toEqual(['giant']);
  second.answer();
  expect(await Promise.all([first, alone])).toEqual([COMMITTED, COMMITTED]);
});

test('[P12] a bug in a batch fails its own intents, and those behind them are told', async () => {
  let calls = 0;
  const write = (intents: readonly CommitIntent[]): Promise<readonly CommitResult[]> => {
    calls += 1;
    return calls === 1 ? Promise.reject(new Error('a bug')) : Promise.resolve(intents.map(() => COMMITTED));
  };
  const commits = new GroupCommit(write, storeLimits({}), new StoreCounts());
  const failed = commits.commit(intentOf('a', 'a1'));
  const behind = commits.commit(intentOf('a', 'a2'));
  await expect(failed).rejects.toThrow('a bug');
  expect(await behind).toMatchObject({ outcome: 'unavailable' });
  expect(await commits.commit(intentOf('a', 'a3'))).toEqual(COMMITTED);
});

function packOf(length: number): CommitIntent['journal'][number] {
  return {
    turn: 't' as never,
    step: 1,
    attempt: 1,
    pack: 1,
    position: { epoch: 1 as Epoch, seq: 1 },
    entries: [{ index: 0, type: 'text', offset: 0, text: 'x'.repeat(length), ended: false }],
  };
}
