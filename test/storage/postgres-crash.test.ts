// A node that dies in the middle of its commits, on Postgres.

import { randomBytes } from 'node:crypto';

import postgres from 'postgres';
import { expect, inject, test } from 'vitest';

import { openStore } from '../../storage/store.ts';
import { createDatabase } from '../support/postgres.ts';
import { checkAfterCrash, crash, seeded } from './crash.ts';
import { newOwner, until } from './fixture.ts';

test('[P3] killed six times between any two steps: every acknowledged commit is there, and nothing by half', async () => {
  const database = await createDatabase(inject('postgresUrl'), `crash_${randomBytes(6).toString('hex')}`);
  await (await openStore({ database: { url: database.url } })).close();
  const raw = postgres(database.url, { max: 1, onnotice: () => undefined });
  const random = seeded(7);
  let acknowledgements = 0;
  for (let round = 0; round < 6; round += 1) {
    const options = {
      database: { url: database.url },
      owner: newOwner(),
      chats: 4,
      dieAtStatement: round % 3 === 0 ? null : 10 + random(200),
    };
    const acknowledged = await crash(options, 20 + random(200));
    acknowledgements += [...acknowledged.values()].reduce((sum, number) => sum + number, 0);
    // What the child had sent is decided when its sessions are gone.
    const gone = async (): Promise<boolean> =>
      (await raw`select 1 from pg_stat_activity where datname = current_database() and application_name = 'parley'`)
        .length === 0;
    await until(gone);
    await checkAfterCrash(raw, options, acknowledged);
  }
  expect(acknowledgements).toBeGreaterThan(100);
  await raw.end();
  await database.drop();
});
