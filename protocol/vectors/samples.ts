// One frame or more for every op and every kind of event: what the vectors are made of.

import { SESSION_LIMITS } from '../limits.ts';
import type { Action, Chat, Message, QueuedMessage, Usage } from '../content.ts';
import { encodeArgs, type OutgoingClientFrame } from '../codec.ts';
import { errorBody } from '../errors.ts';
import type { ChatEvent } from '../events.ts';
import { PROTOCOL_VERSION, type ServerFrame, type SnapshotHead } from '../frames.ts';
import { uuidToBytes, type ChatId, type CommandId, type Epoch, type TurnId } from '../ids.ts';
import type { Position } from '../position.ts';

export type Sample<T> = { readonly name: string; readonly frame: T };

const CHAT = '01980000-0000-7000-8000-00000000c4a7' as ChatId;
const PARENT = '01980000-0000-7000-8000-0000000000aa' as ChatId;
const COMMAND = '01980000-0001-7000-8000-000000000001' as CommandId;
const TURN = '01980000-0001-7000-8000-000000000001' as TurnId;
const REPLY = '01980000-0002-7000-8000-000000000002';
const NOW_MS = 1_767_225_600_000;

export const at = (epoch: number, seq: number): Position => ({ epoch: epoch as Epoch, seq });

const USAGE: Usage = {
  input_tokens: 1200,
  output_tokens: 70000,
  cache_read_tokens: 0,
  cache_write_tokens: 300,
  estimated: false,
};

const CHAT_MAP: Chat = {
  id: CHAT,
  owner: 'alice',
  parent: null,
  root: CHAT,
  title: null,
  status: 'waiting',
  archived: false,
  model: 'scripted',
  last_error: null,
  last_turn: null,
  labels: {},
  created_at: NOW_MS,
  updated_at: NOW_MS + 1,
};

const FAILED_CHAT: Chat = {
  ...CHAT_MAP,
  parent: PARENT,
  root: PARENT,
  title: 'Über Wörter 🙂',
  status: 'error',
  archived: true,
  last_error: errorBody('model_rate_limited', undefined, 1500),
  last_turn: { turn: TURN, outcome: 'error', error: errorBody('model_rate_limited', undefined, 1500) },
  labels: { project: 'parley', constructor: 'not a trap' },
};

const USER_MESSAGE: Message = {
  number: 1,
  id: COMMAND,
  role: 'user',
  parts: [{ type: 'text', text: 'hello' }],
  created_at: NOW_MS,
  created_by: 'alice',
};

const ASSISTANT_MESSAGE: Message = {
  number: 2,
  id: REPLY,
  role: 'assistant',
  parts: [
    { type: 'reasoning', text: '' },
    { type: 'text', text: 'Hello, world: 你好 🙂' },
    { type: 'text', bytes: 40_000 },
  ],
  created_at: NOW_MS + 10,
  model: 'scripted',
  turn: TURN,
  step: 1,
  interrupted: true,
  usage: USAGE,
};

const QUEUED: QueuedMessage = {
  id: COMMAND,
  parts: [{ type: 'text', text: 'and then?' }],
  created_by: 'alice',
  created_at: NOW_MS,
};

const TOOL_CALLER: Message = {
  ...ASSISTANT_MESSAGE,
  parts: [
    { type: 'text', text: 'Let me look.' },
    { type: 'tool_call', text: '{"zone":"UTC"}', call: 'call_1', name: 'clock' },
    { type: 'tool_call', bytes: 20_000, call: 'call_2', name: 'pick_color' },
  ],
};

const TOOL_MESSAGE: Message = {
  number: 3,
  id: REPLY,
  role: 'tool',
  parts: [{ type: 'tool_result', text: '12:00', call: 'call_1', status: 'ok' }],
  created_at: NOW_MS + 20,
  turn: TURN,
  step: 1,
};

const ACTION: Action = {
  type: 'result',
  call: 'call_2',
  name: 'pick_color',
  args: '{"of":["red","blue"]}',
  deadline_at: NOW_MS + 300_000,
  hash: 'c0ffee',
};

const HEAD: SnapshotHead = {
  drop_older: false,
  disowned: false,
  retracted: at(2, 17),
  removed: [
    [3, 5],
    [9, 9],
  ],
  has_older: true,
  chat: { ...CHAT_MAP, status: 'running' },
  queue: [QUEUED],
  live: {
    turn: TURN,
    model: 'scripted',
    step: 2,
    attempt: 1,
    blocks: [
      { index: 0, type: 'reasoning', text: '', bytes: 0, ended: true },
      { index: 1, type: 'text', text: '', bytes: 0, ended: false },
      { index: 2, type: 'tool_call', text: '', bytes: 0, ended: false, call: { call: 'call_1', name: 'clock' } },
    ],
    retry: { attempt: 1, delay_ms: 800, at: NOW_MS, error: errorBody('model_overloaded') },
    usage: USAGE,
    calls: [
      { call: 'call_1', name: 'clock', text: '', bytes: 0, status: 'ok' },
      { call: 'call_2', name: 'pick_color', text: '', bytes: 0, status: null },
    ],
    actions: [ACTION],
    compaction: { source: 'automatic', context_tokens: 141_000, context_limit_tokens: 200_000 },
  },
};

export const CLIENT_SAMPLES: readonly Sample<OutgoingClientFrame>[] = [
  { name: 'hello', frame: { op: 'hello', version: PROTOCOL_VERSION, credential: 'a.b.c', client: 'example/1.0' } },
  { name: 'auth', frame: { op: 'auth', request: 1, credential: 'd.e.f' } },
  { name: 'attach without a cursor', frame: { op: 'attach', chat: CHAT, cursor: null } },
  { name: 'attach with a cursor', frame: { op: 'attach', chat: CHAT, cursor: at(3, 70_000) } },
  { name: 'attach with a cursor that saw nothing of its epoch', frame: { op: 'attach', chat: CHAT, cursor: at(1, 0) } },
  { name: 'more', frame: { op: 'more', chat: CHAT } },
  { name: 'detach', frame: { op: 'detach', chat: CHAT } },
  {
    name: 'command chat.send',
    frame: {
      op: 'command',
      request: 2,
      id: COMMAND,
      name: 'chat.send',
      rawArgs: encodeArgs({ chat: uuidToBytes(CHAT), content: [{ type: 'text', text: 'hello' }] }),
    },
  },
  {
    name: 'command chats.create without args',
    frame: { op: 'command', request: 4_294_967_295, id: COMMAND, name: 'chats.create', rawArgs: encodeArgs({}) },
  },
  {
    name: 'command with a trace',
    frame: {
      op: 'command',
      request: 3,
      id: COMMAND,
      name: 'chats.create',
      rawArgs: encodeArgs({}),
      trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
  },
  {
    name: 'query messages',
    frame: { op: 'query', request: 3, name: 'messages', args: { chat: uuidToBytes(CHAT), before: 51, limit: 50 } },
  },
  { name: 'ping', frame: { op: 'ping' } },
  { name: 'watch without a cursor', frame: { op: 'watch', request: 4, cursor: null } },
  { name: 'watch with a cursor', frame: { op: 'watch', request: 5, cursor: 70_000 } },
  { name: 'unwatch', frame: { op: 'unwatch' } },
];

export const SERVER_SAMPLES: readonly Sample<ServerFrame>[] = [
  {
    name: 'welcome',
    frame: {
      op: 'welcome',
      version: PROTOCOL_VERSION,
      session: 's1',
      node: 'n1',
      owner: 'alice',
      heartbeatMs: 20_000,
      expiresAtMs: NOW_MS,
      limits: SESSION_LIMITS,
    },
  },
  {
    name: 'reply with a result',
    frame: { op: 'reply', request: 2, result: { outcome: 'started', number: 1, position: [1, 4] }, error: null },
  },
  {
    name: 'reply with an error',
    frame: { op: 'reply', request: 2, result: null, error: errorBody('rate_limited', undefined, 250) },
  },
  { name: 'attached resumed', frame: { op: 'attached', chat: CHAT, outcome: 'resumed', position: at(3, 70_000) } },
  {
    name: 'attached snapshot, first piece',
    frame: {
      op: 'attached',
      chat: CHAT,
      outcome: 'snapshot',
      position: at(3, 12),
      piece: { last: false, head: HEAD, messages: [USER_MESSAGE, TOOL_CALLER, TOOL_MESSAGE], live: [], calls: [] },
    },
  },
  {
    name: 'attached snapshot, last piece',
    frame: {
      op: 'attached',
      chat: CHAT,
      outcome: 'snapshot',
      position: at(3, 12),
      piece: {
        last: true,
        head: null,
        messages: [],
        live: [
          [0, 0, 'hm'],
          [1, 0, 'Hé'],
          [1, 3, 'llo'],
        ],
        calls: [[1, 0, 'asking']],
      },
    },
  },
  {
    name: 'attached snapshot in one piece',
    frame: {
      op: 'attached',
      chat: CHAT,
      outcome: 'snapshot',
      position: at(1, 1),
      piece: {
        last: true,
        head: {
          drop_older: true,
          disowned: true,
          retracted: null,
          removed: [],
          has_older: false,
          chat: CHAT_MAP,
          queue: [],
          live: null,
        },
        messages: [],
        live: [],
        calls: [],
      },
    },
  },
  { name: 'attached gone', frame: { op: 'attached', chat: CHAT, outcome: 'gone', position: null } },
  { name: 'heartbeat without attachments', frame: { op: 'heartbeat', nowMs: NOW_MS, positions: [] } },
  {
    name: 'heartbeat with positions',
    frame: {
      op: 'heartbeat',
      nowMs: NOW_MS,
      positions: [
        [CHAT, at(3, 70_000)],
        [PARENT, at(1, 1)],
      ],
      feed: 70_000,
    },
  },
  { name: 'feed without news', frame: { op: 'feed', from: 7, cursor: 7, more: false, chats: [] } },
  {
    name: 'feed',
    frame: {
      op: 'feed',
      from: 7,
      cursor: 70_000,
      more: true,
      chats: [
        { ...CHAT_MAP, read: 4, unread: 2 },
        { ...FAILED_CHAT, read: 0, unread: 100 },
      ],
    },
  },
  {
    name: 'feed that begins anew',
    frame: { op: 'feed', from: null, cursor: 3, more: false, chats: [{ ...CHAT_MAP, read: 0, unread: 0 }] },
  },
  { name: 'drain', frame: { op: 'drain', afterMs: 1_500 } },
  { name: 'bye', frame: { op: 'bye', code: 4004, reason: 'token_expired' } },
  { name: 'refused', frame: { op: 'refused', chat: CHAT, error: errorBody('too_many') } },
];

const EVENTS: readonly (readonly [string, ChatEvent])[] = [
  ['epoch after one that ended in order', { kind: 'epoch', after: at(2, 41) }],
  ['epoch after a crash', { kind: 'epoch', after: null }],
  ['chat', { kind: 'chat', chat: CHAT_MAP }],
  ['chat with everything', { kind: 'chat', chat: FAILED_CHAT }],
  ['message of a user', { kind: 'message', message: USER_MESSAGE }],
  ['message of the assistant', { kind: 'message', message: ASSISTANT_MESSAGE }],
  ['message with calls of tools', { kind: 'message', message: TOOL_CALLER }],
  ['message of a tool', { kind: 'message', message: TOOL_MESSAGE }],
  ['rewind', { kind: 'rewind', from: 3, to: 7 }],
  ['queue', { kind: 'queue', queue: [QUEUED] }],
  ['queue with a message that steers', { kind: 'queue', queue: [{ ...QUEUED, steer: true }] }],
  [
    'queue whose first message is held for an edit',
    { kind: 'queue', queue: [{ ...QUEUED, held_until: NOW_MS + 300_000 }] },
  ],
  ['queue, empty', { kind: 'queue', queue: [] }],
  ['turn started', { kind: 'turn', type: 'started', turn: TURN, model: 'scripted' }],
  ['turn ended', { kind: 'turn', type: 'ended', turn: TURN, outcome: 'completed', error: null }],
  [
    'turn ended in an error',
    { kind: 'turn', type: 'ended', turn: TURN, outcome: 'error', error: errorBody('model_silent') },
  ],
  ['step started', { kind: 'step', type: 'started', turn: TURN, step: 1, attempt: 1 }],
  ['step reset', { kind: 'step', type: 'reset', turn: TURN, step: 1, attempt: 2 }],
  [
    'retry',
    {
      kind: 'retry',
      turn: TURN,
      step: 1,
      attempt: 1,
      delay_ms: 1_000,
      at: NOW_MS,
      error: errorBody('model_overloaded'),
    },
  ],
  ['block start', { kind: 'block', type: 'start', step: 1, index: 0, block: 'text' }],
  ['block start of reasoning', { kind: 'block', type: 'start', step: 1, index: 1, block: 'reasoning' }],
  ['block delta', { kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text: 'Hello' }],
  ['block delta beyond ASCII', { kind: 'block', type: 'delta', step: 1, index: 0, offset: 300, text: ', 世界 🙂' }],
  [
    'block delta that begins with a byte order mark',
    { kind: 'block', type: 'delta', step: 1, index: 0, offset: 5, text: `\ufeff${'=-'.repeat(40)}` },
  ],
  ['block end', { kind: 'block', type: 'end', step: 1, index: 0, bytes: 65_536 }],
  [
    'block start of a call',
    {
      kind: 'block',
      type: 'start',
      step: 1,
      index: 2,
      block: 'tool_call',
      call: { call: 'call_1', name: 'clock' },
    },
  ],
  ['tool started', { kind: 'tool', type: 'started', step: 1, call: 'call_1', name: 'clock' }],
  ['tool progress', { kind: 'tool', type: 'progress', step: 1, call: 'call_1', offset: 70_000, text: '12:00 ' }],
  ['tool settled', { kind: 'tool', type: 'settled', step: 1, call: 'call_1', status: 'unknown' }],
  ['action', { kind: 'action', actions: [ACTION, { ...ACTION, type: 'approval', call: 'call_3' }] }],
  ['action, none', { kind: 'action', actions: [] }],
  [
    'compaction started',
    {
      kind: 'compaction',
      type: 'started',
      turn: TURN,
      source: 'overflow',
      context_tokens: null,
      context_limit_tokens: 200_000,
    },
  ],
  [
    'compaction ended',
    {
      kind: 'compaction',
      type: 'ended',
      turn: TURN,
      outcome: 'compacted',
      context_tokens: 141_000,
      left_tokens: 2_100,
    },
  ],
  ['fork', { kind: 'fork', reason: 'compaction' }],
  ['usage', { kind: 'usage', turn: TURN, step: 1, attempt: 1, usage: { ...USAGE, estimated: true } }],
];

/** All of them at [3, 70 000], with a span of 1; the last with a span and a position beyond 32 bits. */
export const EVENT_SAMPLES: readonly Sample<ServerFrame>[] = [
  ...EVENTS.map(([name, event]) => ({
    name,
    frame: { op: 'event', chat: CHAT, position: at(3, 70_000), span: 1, event } as const,
  })),
  {
    name: 'merged deltas, a position beyond 32 bits',
    frame: {
      op: 'event',
      chat: CHAT,
      position: at(3, 5_000_000_000),
      span: 200,
      event: { kind: 'block', type: 'delta', step: 1, index: 0, offset: 0, text: 'much at once' },
    },
  },
];
