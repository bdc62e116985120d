// A client of its own making: it attaches with a cursor that the chat never had. The library would not do that; storage
// that was set back would make it so (P4: the answer is a snapshot that says so).

import type { ChatId, Epoch } from '../../protocol/ids.ts';
import { decodeServerMessage, encodeClientFrame } from '../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../protocol/frames.ts';
import { comparePositions, formatPosition, type Position } from '../../protocol/position.ts';
import { credential } from './node.ts';
import { PROBE, type World } from './world.ts';

const ANSWER_MS = 60_000;

/** Asks once; the connection may be lost under way, then nothing was learned. */
export function probe(world: World, chat: ChatId): void {
  const { clock, random, tables, network, audit, chats } = world;
  const owner = chats.get(chat);
  const row = tables.chats.get(chat);
  if (owner === undefined || row === undefined) return;
  // Far enough that no chat gets there before the answer.
  const cursor: Position = random.chance(0.5)
    ? { epoch: (row.epoch + 50) as Epoch, seq: random.int(0, 9) }
    : { epoch: Math.max(1, row.epoch) as Epoch, seq: 1_000_000 };
  const socket = new (network.webSocket(PROBE))('ws://simulation', SUBPROTOCOL);
  socket.addEventListener('open', () => {
    const token = credential(owner, 'member', clock.nowMs() + 2 * ANSWER_MS);
    socket.send(
      encodeClientFrame({ op: 'hello', version: PROTOCOL_VERSION, credential: token, client: 'probe' }).slice(),
    );
    socket.send(encodeClientFrame({ op: 'attach', chat, cursor }).slice());
  });
  socket.addEventListener('message', ({ data }) => {
    for (const frame of decodeServerMessage(new Uint8Array(data as ArrayBuffer))) {
      if (frame.op === 'refused' || frame.op === 'bye') return socket.close();
      if (frame.op === 'event') audit.fail('P4', `an event came to the cursor ${formatPosition(cursor)} of ${chat}`);
      if (frame.op !== 'attached') continue;
      socket.close();
      if (frame.outcome !== 'snapshot')
        return audit.fail('P4', `${frame.outcome} at ${formatPosition(cursor)} of ${chat}`);
      const isAbove = comparePositions(cursor, frame.position) > 0;
      if (frame.piece.head?.disowned !== isAbove) {
        audit.fail('P4', `the snapshot of ${chat} does not say right whether ${formatPosition(cursor)} ever was`);
      }
      if (isAbove) audit.saw('disowned');
      return;
    }
  });
  clock.after(ANSWER_MS, () => socket.close());
}
