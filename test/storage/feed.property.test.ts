// Pages and feed together give every chat as it is in the end, whatever changes between and while they are read. On both
// databases; on Postgres also with transactions that end in another order than they began.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import type { CommitIntent } from '../../actors/ports.ts';
import { must } from '../../protocol/assert.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { openStore, type OpenStore } from '../../storage/store.ts';
import { override } from '../sim/audit.ts';
import { createDatabase } from '../support/postgres.ts';
import { rounds, walk, type Held, type Round, type WalkOptions } from './feed-walk.ts';
import { intentOf, newId, NOW_MS, valueOf } from './fixture.ts';
import { holdCommit } from './held-commit.ts';

const POSTGRES_RUNS = 40;
const EMBEDDED_RUNS = 4;

async function check(options: WalkOptions, all: readonly Round[]): Promise<void> {
  const { shown, real } = await walk(options, all);
  try {
    expect(shown).toEqual(real);
  } catch (cause) {
    throw new OtherList('pages and feed show another list than there is', { cause });
  }
}

/** What the property is about; any other error of a run says nothing about it. */
class OtherList extends Error {
  override readonly name = 'OtherList';
}

describe('on Postgres', () => {
  let url = '';
  let drop: () => Promise<void> = () => Promise.resolve();
  let opened: OpenStore;
  let raw: postgres.Sql;

  beforeAll(async () => {
    const database = await createDatabase(inject('postgresUrl'), `feed_${randomBytes(6).toString('hex')}`);
    ({ url, drop } = database);
    opened = await openStore({ database: { url } });
    await opened.nodes.register(newId<NodeId>());
    raw = postgres(url, { max: 3, onnotice: () => undefined });
    await raw`update nodes set expires_at = now() + interval '1 hour'`;
  });

  afterAll(async () => {
    await raw.end();
    await opened.close();
    await drop();
  });

  const hold = (intent: CommitIntent, place: Exclude<Round['held'], 'none'>): Promise<Held> =>
    holdCommit(url, intent, place);

  /** True when the property finds what is planted: another list than there is, not an error on the way to it. */
  const finds = async (options: WalkOptions): Promise<boolean> => {
    const property = fc.asyncProperty(rounds, (all) => check(options, all));
    const { errorInstance } = await fc.check(property, { numRuns: POSTGRES_RUNS, endOnFailure: true });
    if (errorInstance instanceof OtherList) return true;
    if (errorInstance !== null) throw errorInstance;
    return false;
  };

  test('[feed] pages and feed are every chat, with transactions that end in reverse order', async () => {
    const property = fc.asyncProperty(rounds, (all) => check({ store: opened.store, hold }, all));
    await fc.assert(property, { numRuns: POSTGRES_RUNS });
  });

  test('[feed] the property finds a cursor that is read after the page', async () => {
    const { store } = opened;
    const late = override(store, {
      list: async (request) => {
        const page = await store.list(request);
        if (request.after !== null) return page;
        const { chats } = valueOf(await store.list({ ...request, limit: 100 }));
        const last = must(chats.at(-1), 'there are chats');
        // It goes to the front now: it is neither on this page nor on a later one, nor behind the cursor.
        await store.commit(intentOf(last.id, 1, { listed: true, atMs: NOW_MS + 10_000, patch: { title: 'between' } }));
        const { feed } = valueOf(await store.list(request));
        return { outcome: 'read', value: { ...valueOf(page), feed } };
      },
    });
    expect(await finds({ store: late, hold: null })).toBe(true);
  });

  test('[feed] the property finds a place that is taken outside of the transaction', async () => {
    // The place is given away before the commit that shows what stands there.
    const early = async (intent: CommitIntent): Promise<Held> => {
      const [row] = await raw<{ feed_seq: string }[]>`update owners set feed_seq = feed_seq + 1
        where id = (select owner from chats where id = ${intent.chat}) returning feed_seq`;
      return {
        finish: async () => {
          await raw`update chats set title = ${intent.patch.title ?? null}, feed_seq = ${row?.feed_seq ?? null}
            where id = ${intent.chat}`;
        },
      };
    };
    expect(await finds({ store: opened.store, hold: early })).toBe(true);
  });
});

describe('on the embedded database', () => {
  test('[feed] pages and feed are every chat', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-feed-'));
    const opened = await openStore({ database: { folder } });
    await opened.nodes.register(newId<NodeId>());
    try {
      const property = fc.asyncProperty(rounds, (all) => check({ store: opened.store, hold: null }, all));
      await fc.assert(property, { numRuns: EMBEDDED_RUNS });
    } finally {
      await opened.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
