// Messages that our encoder does not write and that every decoder of this protocol takes all the same: other forms of
// the same values, and what later versions may add. Written with the second msgpack implementation.

import { encode } from '@msgpack/msgpack';
import { joinFrames } from '../codec.ts';
import { fromHex } from './vector.ts';

export type RawSample = { readonly name: string; readonly bytes: Uint8Array };

const CHAT = fromHex('01980000000070008000000000 00c4a7');
const TURN = fromHex('01980000000170008000000000000001');

const CHAT_MAP = {
  id: CHAT,
  owner: 'alice',
  parent: null,
  root: CHAT,
  title: null,
  status: 'waiting',
  archived: false,
  model: 'scripted',
  last_error: null,
  labels: {},
  created_at: 1,
  updated_at: 2,
};

const event = (kind: number, payload: unknown): Uint8Array => encode([36, CHAT, 3, 8, 1, kind, payload]);

export const LENIENT_CLIENT: readonly RawSample[] = [
  { name: 'several frames in one message', bytes: joinFrames([encode([8]), encode([4, CHAT]), encode([8])]) },
  { name: 'trailing fields are ignored', bytes: encode([8, 'later', { more: [1, 2] }]) },
  { name: 'an op that the server does not know', bytes: joinFrames([encode([31, 1]), encode([8])]) },
  { name: 'an op of the server', bytes: encode([39, 1]) },
  {
    name: 'a cursor as float64',
    bytes: fromHex('9303c41001980000000070008000000000 00c4a792cb4008000000000000cb40f1170000000000'),
  },
  {
    name: 'a cursor as uint64',
    bytes: fromHex('9303c41001980000000070008000000000 00c4a792cf0000000000000003cf0000000000011170'),
  },
  { name: 'longer forms than needed', bytes: fromHex('dc0002d10004c6000000100198000000007000800000000000c4a7') },
  {
    name: 'float32, int64 and negative numbers in args',
    bytes: joinFrames([fromHex('940701a178 84a161ca3fc00000a162d3ffffffffffffffffa163e0a164d180000')]),
  },
  { name: 'a str that begins with a byte order mark', bytes: encode([7, 1, 'x', { text: `\ufeff${'y'.repeat(70)}` }]) },
  { name: 'a key that every object has', bytes: encode([7, 1, 'x', { constructor: 1, toString: 2 }]) },
];

export const LENIENT_SERVER: readonly RawSample[] = [
  { name: 'an op that the client does not know', bytes: joinFrames([encode([77, 'x']), encode([39, 5])]) },
  {
    name: 'feed with trailing fields, a chat without what is unread and with unknown keys',
    bytes: encode([37, 1, 2, false, [{ ...CHAT_MAP, later: true }], 'later']),
  },
  { name: 'a heartbeat with nil for the feed', bytes: encode([38, 1, [], null]) },
  { name: 'trailing fields are ignored', bytes: encode([39, 5, 'later']) },
  { name: 'a kind that the client does not know', bytes: event(99, { anything: [1] }) },
  { name: 'a form of turn that the client does not know', bytes: event(6, [7, TURN, 'x']) },
  { name: 'a form of step that the client does not know', bytes: event(7, [7, TURN, 1, 1]) },
  { name: 'a form of block that the client does not know', bytes: event(9, [7, 1, 0, 'x']) },
  { name: 'a block of an unknown type reads as reasoning', bytes: event(9, [0, 1, 0, 9]) },
  { name: 'an unknown outcome of a turn reads as completed', bytes: event(6, [1, TURN, 'later', null]) },
  { name: 'trailing fields of a payload are ignored', bytes: event(5 - 1, [3, 7, 'later']) },
  {
    name: 'an unknown status reads as waiting, unknown keys are ignored',
    bytes: event(2, { ...CHAT_MAP, status: 'later', later: true }),
  },
  {
    name: 'an unknown error code reads as internal, with its own retry',
    bytes: encode([34, 1, false, { code: 'later', message: 'Something new.', retry: 'never' }]),
  },
  {
    name: 'an unknown role reads as system, an unknown part keeps its place',
    bytes: event(3, {
      number: 1,
      id: TURN,
      role: 'later',
      parts: [
        { type: 'image', url: 'x' },
        { type: 'text', text: 'seen' },
      ],
      created_at: 1,
    }),
  },
  { name: 'times as float64', bytes: encode([38, 1_767_225_600_000.0, []], { forceIntegerToFloat: true }) },
];
