// Clients of their own making, which do what the library would not. One attaches with a cursor that the chat never had;
// storage that was set back would make it so (P4: the answer is a snapshot that says so). One follows and asks and reads
// nothing of it (P9: what is held for it is bounded).

import { uuidToBytes, type ChatId, type Epoch, type OwnerId } from '../../protocol/ids.ts';
import { decodeServerMessage, encodeClientFrame, type OutgoingClientFrame } from '../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../protocol/frames.ts';
import { comparePositions, formatPosition, type Position } from '../../protocol/position.ts';
import type { SimSocket } from './network.ts';
import { credential } from './node.ts';
import { PROBE, type World } from './world.ts';

const ANSWER_MS = 60_000;
/** Of a deaf reader: what it asks in all, and how long it reads nothing. */
const DEAF_QUERIES = 60;
const DEAF_MS = 100_000;

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
    greet(world, socket, owner);
    send(socket, { op: 'attach', chat, cursor });
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

/** Follows the chats of a person, asks again and again, and stops reading: for good, as far as its connection lives. */
export function deafReader(world: World): void {
  const { clock, random, network, faults, chats } = world;
  const owner = [...chats.values()][0];
  if (owner === undefined) return;
  const followed = [...chats].filter(([, of]) => of === owner).map(([chat]) => chat);
  const socket = new (network.webSocket(PROBE))('ws://simulation', SUBPROTOCOL);
  socket.addEventListener('open', () => {
    faults.note('deafReader');
    greet(world, socket, owner);
    for (const chat of followed) send(socket, { op: 'attach', chat, cursor: null });
    clock.after(random.int(50, 500), () => socket.stopReading(DEAF_MS));
    for (let request = 1; request <= DEAF_QUERIES; request++) {
      clock.after(random.int(500, 20_000), () => {
        const [chat = null] = followed;
        const args = chat === null ? {} : { chat: uuidToBytes(chat), limit: 50 };
        send(socket, { op: 'query', request, name: 'messages', args });
      });
    }
    clock.after(DEAF_MS, () => socket.close());
  });
}

function greet({ clock }: World, socket: SimSocket, owner: OwnerId): void {
  const token = credential(owner, 'member', clock.nowMs() + 2 * ANSWER_MS);
  send(socket, { op: 'hello', version: PROTOCOL_VERSION, credential: token, client: 'probe' });
}

function send(socket: SimSocket, frame: OutgoingClientFrame): void {
  socket.send(encodeClientFrame(frame).slice());
}
