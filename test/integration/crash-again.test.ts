// A crash while the crash before is being recovered: the node dies, and the transaction that takes its turn up is lost too.

import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { PgProxy } from '../support/pg-proxy.ts';
import { createDatabase } from '../support/postgres.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

const clients = new Clients();
let database: { url: string; drop(): Promise<void> };
let proxy: PgProxy;
let node: NodeProcess;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `integration_again_${process.pid}`);
  const started = await PgProxy.start(database.url);
  ({ proxy } = started);
  // Nothing is journaled in time: all the text that was shown is lost.
  node = await NodeProcess.start({ env: { DATABASE_URL: started.proxyUrl, PARLEY_JOURNAL_EVERY_MS: '60000' } });
});

afterAll(async () => {
  clients.closeAll();
  await node.stop();
  await proxy.stop();
  await database.drop();
});

test('[P4][P5] text that was lost two epochs ago is retracted all the same', async () => {
  const client = await clients.connect(node.url, node.token);
  const { id } = await client.createChat();
  const witness = new Witness(client, client.chat(id));
  const { handle } = witness;
  handle.attach();
  const { turn } = await client.send(id, { text: '/script deltas=400 pace=4ms' });
  const showed = await handle.until((state) => answerText(state).length > 200);
  const before = must(showed.position, 'a state that shows text has a position');
  client.close();
  await node.kill();
  // The recovery begins before the node says that it is up.
  const striking = proxy.arm('commit late', turn);
  await node.restart();
  const hit = must(await striking, 'the recovery was hit');
  await client.ready();
  const state = await handle.until((now) => now.turn === null && now.chat?.status === 'waiting');
  await hit.release();

  expect(must(state.position, 'it ended somewhere').epoch).toBeGreaterThanOrEqual(before.epoch + 2);
  expect(state.retracted).not.toBeNull();
  const fresh = (await clients.connect(node.url, node.token)).chat(id);
  fresh.attach();
  await fresh.until(({ position }) => position !== null);
  expect(sharedState(handle.state)).toEqual(sharedState(fresh.state));
});
