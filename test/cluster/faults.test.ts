// What may befall nodes that stand among others: NATS gone and back, a node stopped past its lease, strangers.

import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ChatState, ParleyClient } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { TestCluster } from '../support/cluster.ts';
import type { NodeProcess } from '../support/node-process.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

const LONG = '/script deltas=1500 pace=4ms unicode=1';

const clients = new Clients();
let cluster: TestCluster;

beforeAll(async () => {
  // One version apart: they work together.
  const env = (node: number): Record<string, string> => ({ PARLEY_CLUSTER_VERSION: String(node + 1) });
  cluster = await TestCluster.start(inject('postgresUrl'), { name: 'faults', nodes: 2, env });
});

afterEach(() => clients.closeAll());

afterAll(() => cluster.stop());

test('[§7] NATS is killed: a chat goes on where it is, and the node says so; NATS is back: the other node goes on too', async () => {
  const { owner, near, far } = await followedAtBoth('nats');
  await near.handle.until(showing(500));
  await cluster.nats.kill();
  const ready = await notReady(owner);
  expect(ready).toContain('NATS cannot be reached');
  const shown = near.shown.length;
  await near.handle.until(showing(shown + 500));
  await cluster.nats.up();
  await cluster.joined();
  const states = await Promise.all([near, far].map(({ handle }) => handle.until(isOver)));
  expect(sharedState(must(states[1], 'there are two'))).toEqual(sharedState(must(states[0], 'there are two')));
  expect([...near.faults, ...far.faults]).toEqual([]);
  expect(near.outcomes.snapshot).toBe(1);
});

test('[P1] a node is stopped past its lease: its chat is taken over, and when it wakes up nothing of it is accepted', async () => {
  const { owner, near, far, chat } = await followedAtBoth('stop');
  await far.handle.until(showing(500));
  const epoch = must(far.handle.state.position, 'it follows').epoch;
  process.kill(owner.pid, 'SIGSTOP');
  await far.handle.until(({ position }) => (position?.epoch ?? 0) > epoch);
  const taken = await far.handle.until((state) => answerText(state).length > 0);
  process.kill(owner.pid, 'SIGCONT');
  await owner.logged((line) => line.includes('declared dead and registers anew'));
  expect(must(taken.position, 'it follows').epoch).toBe(epoch + 1);
  const states = await Promise.all([near, far].map(({ handle }) => handle.until(isOver)));
  expect(sharedState(must(states[0], 'there are two'))).toEqual(sharedState(must(states[1], 'there are two')));
  expect([...near.faults, ...far.faults]).toEqual([]);
  expect(must(states[1], 'there are two').position?.epoch).toBe(epoch + 1);
  // It is one of the nodes again, and serves.
  await cluster.joined();
  const client = await connect(owner, 'stop');
  await client.send(chat, { text: '/script say="and on" pace=0' });
  await far.handle.until((state) => isOver(state) && answerText(state) === 'and on');
});

describe('[§7] strangers', () => {
  test('[§7] a node with another key, or of a version too far, is not talked to, and both say why', async () => {
    const [base] = cluster.nodes;
    const stranger = await cluster.add({ PARLEY_CLUSTER_KEY: 'a key of another cluster' });
    await must(base, 'there are two').logged(
      (line) => line.includes('a message of another node was refused') && line.includes('mac'),
    );
    await stranger.stop();
    const newer = await cluster.add({ PARLEY_CLUSTER_VERSION: '9' });
    await must(base, 'there are two').logged((line) => line.includes('a node of another version is not talked to'));
    await newer.stop();
    const reachable = await must(base, 'there are two').metric(
      'parley_cluster_peers',
      (value) => value === 1,
      'reachable',
    );
    expect(reachable).toBe(1);
  });
});

async function connect(node: NodeProcess, subject: string): Promise<ParleyClient> {
  return clients.connect(node.url, await node.tokenFor(subject));
}

/** A chat in mid-turn, followed at its owner and at another node. */
async function followedAtBoth(subject: string): Promise<{
  readonly owner: NodeProcess;
  readonly near: Witness;
  readonly far: Witness;
  readonly chat: Witness['handle']['id'];
}> {
  const all = await Promise.all(cluster.nodes.slice(0, 2).map((node) => connect(node, subject)));
  const first = must(all[0], 'there are two');
  const { id: chat } = await first.createChat({});
  const witnesses = all.map((client) => new Witness(client, client.chat(chat)));
  for (const { handle } of witnesses) handle.attach();
  await Promise.all(witnesses.map(({ handle }) => handle.until(({ position }) => position !== null)));
  await first.send(chat, { text: LONG });
  await Promise.all(witnesses.map(({ handle }) => handle.until(showing(100))));
  const owner = must(await cluster.ownerOf(chat), 'one of them has it');
  const at = cluster.nodes.indexOf(owner);
  return { owner, chat, near: must(witnesses[at], 'it is one'), far: must(witnesses[1 - at], 'it is the other') };
}

async function notReady(node: NodeProcess): Promise<string> {
  for (;;) {
    const answer = await fetch(`${node.httpUrl}/readyz`);
    const text = await answer.text();
    if (answer.status === 503) return text;
  }
}

function showing(chars: number): (state: ChatState) => boolean {
  return (state) => answerText(state).length >= chars;
}

function isOver({ turn, messages, chat }: ChatState): boolean {
  return turn === null && chat?.status === 'waiting' && messages.at(-1)?.role === 'assistant';
}
