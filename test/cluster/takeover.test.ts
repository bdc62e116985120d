// Chats on other nodes: followed and commanded through any node, taken over when their owner is killed.

import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { scriptedText } from '../../actors/models/script-text.ts';
import type { ChatHandle, ChatState, ParleyClient } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { TestCluster } from '../support/cluster.ts';
import type { NodeProcess } from '../support/node-process.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

const TTL_MS = 3_000;
const PROMPT = '/script deltas=200 pace=3ms unicode=1';
const LONG = '/script deltas=1500 pace=4ms unicode=1';

const clients = new Clients();
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start(inject('postgresUrl'), { name: 'takeover', nodes: 3 });
});

afterEach(() => clients.closeAll());

afterAll(() => cluster.stop());

describe('a chat of another node', () => {
  test('[P2][P3] is followed and commanded through every node alike', async () => {
    const all = await everywhere('anna');
    const chat = await must(all[0], 'there are three').createChat({ title: 'here and there' });
    const witnesses = await followed(all, chat.id);
    for (const [i, client] of all.entries()) {
      await client.send(chat.id, { text: PROMPT });
      const answered = (state: ChatState): boolean => state.messages.length === 2 * (i + 1) && saysAll(PROMPT)(state);
      const states = await Promise.all(witnesses.map(({ handle }) => handle.until(answered)));
      for (const state of states) expect(sharedState(state)).toEqual(sharedState(must(states[0], 'there are three')));
    }
    expect(witnesses.flatMap(({ faults }) => faults)).toEqual([]);
    expect(await cluster.ownerOf(chat.id)).not.toBeNull();
  });

  test('[P3] the same command through two nodes takes effect once, and gets the same reply', async () => {
    const all = await everywhere('bert');
    const chat = await must(all[0], 'there are three').createChat({});
    const id = must(all[0], 'there are three').newCommandId();
    const sent = all.map((client) => client.send(chat.id, { text: '/script say="once" pace=0' }, { id }));
    const replies = await Promise.all(sent);
    for (const reply of replies) expect(reply).toEqual(replies[0]);
    const [witness] = await followed(all.slice(2), chat.id);
    const state = await must(witness, 'there is one').handle.until(isOver);
    expect(state.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
  });

  test('[P4] the queue and the pages are the same through every node', async () => {
    const all = await everywhere('cleo');
    const chat = await must(all[0], 'there are three').createChat({});
    for (const client of all) await client.send(chat.id, { text: '/script deltas=2000 pace=5ms' });
    const pages = await Promise.all(all.map((client) => client.messages(chat.id)));
    for (const page of pages) {
      expect(page.queue?.length).toBe(2);
      expect(page).toEqual(pages[0]);
    }
  });
});

describe('a tree over nodes', () => {
  test('[P6] is stopped from its top: what runs below stops wherever it is', async () => {
    const all = await everywhere('emil');
    const [first, second, third] = all.map((client) => must(client, 'there are three'));
    const top = await must(first, 'the first').createChat({});
    const below = await Promise.all(
      Array.from({ length: 6 }, () => must(second, 'the second').createChat({ parent: top.id })),
    );
    const witnesses = await Promise.all(
      below.map(async ({ id }) => must((await followed([must(third, 'the third')], id))[0], 'one each')),
    );
    for (const { id } of below) await must(second, 'the second').send(id, { text: LONG });
    await Promise.all(witnesses.map(({ handle }) => handle.until((state) => answerText(state).length > 100)));
    const owners = new Set(await Promise.all(below.map(({ id }) => cluster.ownerOf(id))));
    expect(owners.size).toBeGreaterThan(1);
    const stopped = await must(first, 'the first').stop(top.id, null, { tree: true });
    expect(stopped).toEqual({ outcome: 'not_running' });
    const states = await Promise.all(witnesses.map(({ handle }) => handle.until(isOver)));
    expect(states.map(({ lastTurn }) => lastTurn?.outcome)).toEqual(below.map(() => 'stopped'));
    expect(witnesses.flatMap(({ faults }) => faults)).toEqual([]);
  });
});

describe('kill -9 of the owner', () => {
  test('[P1][P2][P4][P5] another node takes the chat over within TTL + 2 s, and the clients of the others go on', async () => {
    const all = await everywhere('dora');
    const chat = await must(all[0], 'there are three').createChat({});
    const witnesses = await followed(all, chat.id);
    await must(all[1], 'there are three').send(chat.id, { text: LONG });
    await Promise.all(witnesses.map(({ handle }) => handle.until((state) => answerText(state).length > 1_000)));
    const owner = must(await cluster.ownerOf(chat.id), 'one of them has it');
    const stay = witnesses.filter((_, i) => cluster.node(i) !== owner);
    const epoch = must(stay[0]?.handle.state.position, 'it follows').epoch;
    const killedMs = performance.now();
    await owner.kill();
    const moved = ({ position }: ChatState): boolean => (position?.epoch ?? 0) > epoch;
    await Promise.all(stay.map(({ handle }) => handle.until(moved)));
    const takeoverMs = performance.now() - killedMs;
    console.info(JSON.stringify({ takeoverMs: Math.round(takeoverMs) }));
    expect(takeoverMs).toBeLessThan(TTL_MS + 2_000);
    const states = await Promise.all(stay.map(({ handle }) => handle.until(isOver)));
    for (const state of states) {
      expect(sharedState(state)).toEqual(sharedState(must(states[0], 'two stayed')));
      expect(state.lastTurn?.outcome).toBe('completed');
    }
    expect(stay.flatMap(({ faults }) => faults)).toEqual([]);
    expect(await cluster.ownerOf(chat.id)).not.toBe(owner);
    await owner.restart();
    await cluster.joined();
  });
});

function everywhere(owner: string): Promise<ParleyClient[]> {
  const connect = async (node: NodeProcess): Promise<ParleyClient> =>
    clients.connect(node.url, await node.tokenFor(owner));
  return Promise.all(cluster.nodes.map(connect));
}

async function followed(all: readonly ParleyClient[], chat: ChatHandle['id']): Promise<Witness[]> {
  const witnesses = all.map((client) => new Witness(client, client.chat(chat)));
  for (const { handle } of witnesses) handle.attach();
  await Promise.all(witnesses.map(({ handle }) => handle.until(({ position }) => position !== null)));
  return witnesses;
}

function isOver({ turn, messages, chat }: ChatState): boolean {
  return turn === null && chat?.status === 'waiting' && messages.at(-1)?.role === 'assistant';
}

function saysAll(prompt: string): (state: ChatState) => boolean {
  return (state) => isOver(state) && answerText(state) === scriptedText(prompt);
}
