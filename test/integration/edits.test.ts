// Edits on a real node: two devices, a device that was away, and `kill -9` right behind the acknowledgement.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ChatHandle, ChatState } from '../../protocol/client/index.ts';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { NodeProcess } from '../support/node-process.ts';
import { sharedState } from '../support/witness.ts';

const SLOW = '/script deltas=2000 pace=5ms';

let node: NodeProcess;
const clients = new Clients();

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterEach(() => clients.closeAll());

afterAll(() => node.stop());

describe('edits', () => {
  test('[P3][P4] an edit of a running turn survives kill -9; a device that was away hears what left', async () => {
    const phone = await clients.connect(node.url, node.token);
    const chat = await phone.createChat();
    const onPhone = follow(phone.chat(chat.id));
    await onPhone.send('/script say="one" pace=0');
    await onPhone.until(isOver);
    const away = await clients.connect(node.url, node.token);
    const onAway = follow(away.chat(chat.id));
    const { number } = await asStarted(onPhone.send(SLOW));
    await onAway.until(({ turn }) => (turn?.blocks[0]?.bytes ?? 0) > 200);
    away.close();
    await onPhone.edit({ number, text: '/script say="edited" pace=0' });
    await node.kill();
    await node.restart();
    await away.ready();
    const [here, there] = await Promise.all([onPhone, onAway].map((handle) => handle.until(saysEdited)));
    const fresh = await follow((await clients.connect(node.url, node.token)).chat(chat.id)).until(saysEdited);
    for (const state of [here, there]) expect(sharedState(must(state, 'it is there'))).toEqual(sharedState(fresh));
    expect(fresh.messages.some((message) => message.number === number)).toBe(false);
  });

  test('[P12] a hold is seen on every device and is there after kill -9; its end lets the queue go on', async () => {
    const phone = await clients.connect(node.url, node.token);
    const chat = await phone.createChat();
    const onPhone = follow(phone.chat(chat.id));
    const laptop = follow((await clients.connect(node.url, node.token)).chat(chat.id));
    await onPhone.send('/script deltas=100 pace=5ms');
    await onPhone.send('/script say="queued" pace=0');
    const waiting = await laptop.until(({ queue }) => queue.length === 1);
    const id = must(waiting.queue[0], 'it waits').id;
    const { heldUntilMs } = await laptop.changeQueue({ hold: id });
    await onPhone.until(({ queue }) => queue[0]?.held_until === heldUntilMs);
    await node.kill();
    await node.restart();
    await onPhone.until(({ queue, turn, chat: of }) => turn === null && of?.status === 'waiting' && queue.length === 1);
    expect(onPhone.state.queue[0]?.held_until).toBe(heldUntilMs);
    await laptop.changeQueue({ release: id, text: '/script say="rewritten" pace=0' });
    const done = await onPhone.until((state) => isOver(state) && state.queue.length === 0);
    expect(textOf(done.messages.at(-1))).toBe('rewritten');
  });
});

function follow(handle: ChatHandle): ChatHandle {
  handle.attach();
  return handle;
}

function isOver({ turn, lastTurn }: ChatState): boolean {
  return turn === null && lastTurn !== null;
}

function saysEdited(state: ChatState): boolean {
  return isOver(state) && textOf(state.messages.at(-1)) === 'edited';
}

function textOf(message: ChatState['messages'][number] | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === 'text' && 'text' in part ? part.text : '')).join('');
}

async function asStarted(sent: ReturnType<ChatHandle['send']>): Promise<{ readonly number: number }> {
  const started = await sent;
  return { number: started.outcome === 'started' ? started.number : 0 };
}
