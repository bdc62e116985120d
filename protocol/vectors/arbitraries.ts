// Arbitrary frames for property tests: everything that the types allow and the wire carries.

import fc from 'fast-check';
import type {
  Action,
  Chat,
  ChatSummary,
  Message,
  PartOrReference,
  QueuedMessage,
  ToolStatus,
  TurnOutcome,
  Usage,
} from '../content.ts';
import type { OutgoingClientFrame } from '../codec.ts';
import { encodeArgs } from '../codec.ts';
import { ERRORS, type ErrorBody, type ErrorCode } from '../errors.ts';
import type {
  ChatEvent,
  CompactionOutcome,
  CompactionSource,
  ForkReason,
  LiveTurn,
  PositionedEvent,
} from '../events.ts';
import type { Args, ServerFrame, SnapshotHead, SnapshotPiece } from '../frames.ts';
import { uuidFromBytes, type ChatId, type CommandId, type Epoch, type TurnId } from '../ids.ts';
import { must } from '../assert.ts';
import { isCleanText } from '../text.ts';

const id = <T extends string>(): fc.Arbitrary<T> =>
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => must(uuidFromBytes<T>(bytes), 'there are 16 bytes'));

/** Letters of every width, byte order marks, and lengths on both sides of every header of msgpack. */
export const text: fc.Arbitrary<string> = fc
  .oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme', minLength: 20, maxLength: 100 }),
    fc
      .tuple(fc.constantFrom('a', 'é', '界', '🙂', '\ufeff'), fc.integer({ min: 0, max: 300 }))
      .map(([letter, times]) => letter.repeat(times)),
  )
  .filter(isCleanText);

export const uint: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.nat(70_000),
  fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
  fc.maxSafeNat(),
);

const position = fc.record({ epoch: uint.map((epoch) => epoch as Epoch), seq: uint });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });

const errorBody: fc.Arbitrary<ErrorBody> = fc.record(
  {
    code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
    message: text,
    retry: fc.constantFrom('never' as const, 'now' as const, 'later' as const),
    retry_after_ms: uint,
  },
  { requiredKeys: ['code', 'message', 'retry'] },
);

const usage: fc.Arbitrary<Usage> = fc.record({
  input_tokens: uint,
  output_tokens: uint,
  cache_read_tokens: uint,
  cache_write_tokens: uint,
  estimated: fc.boolean(),
});

const partType = fc.constantFrom('text' as const, 'reasoning' as const);
const toolCall = { type: fc.constant('tool_call' as const), call: text, name: text };
const toolStatus = fc.constantFrom<ToolStatus>('ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown');
const toolResult = { type: fc.constant('tool_result' as const), call: text, status: toolStatus };
const part = fc.oneof(
  fc.record({ type: partType, text }),
  fc.record({ type: partType, bytes: uint }),
  fc.record({ ...toolCall, text }),
  fc.record({ ...toolCall, bytes: uint }),
  fc.record({ ...toolResult, text }),
  fc.record({ ...toolResult, bytes: uint }),
) as fc.Arbitrary<PartOrReference>;

const action: fc.Arbitrary<Action> = fc.record({
  type: fc.constantFrom('result' as const, 'approval' as const),
  call: text,
  name: text,
  args: text,
  deadline_at: uint,
  hash: text,
});

const label = text.filter((key) => key !== '__proto__');

const outcome: fc.Arbitrary<TurnOutcome> = fc.constantFrom(
  'completed',
  'stopped',
  'refused',
  'max_tokens',
  'step_limit',
  'budget',
  'error',
  'interrupted',
);

const chat: fc.Arbitrary<Chat> = fc.record({
  id: id<ChatId>(),
  owner: text,
  parent: maybe(id<ChatId>()),
  root: id<ChatId>(),
  title: maybe(text),
  status: fc.constantFrom('waiting', 'running', 'requires_action', 'stopping', 'error'),
  archived: fc.boolean(),
  model: text,
  last_error: maybe(errorBody),
  last_turn: maybe(fc.record({ turn: id<TurnId>(), outcome, error: maybe(errorBody) })),
  labels: fc.dictionary(label, text, { maxKeys: 5, noNullPrototype: true }),
  created_at: uint,
  updated_at: uint,
});

const summary: fc.Arbitrary<ChatSummary> = fc
  .tuple(chat, maybe(uint), maybe(uint))
  .map(([chat, read, unread]) => ({ ...chat, read, unread }));

const message: fc.Arbitrary<Message> = fc.record(
  {
    number: uint,
    id: id(),
    role: fc.constantFrom('user', 'assistant', 'tool', 'system'),
    parts: fc.array(part, { maxLength: 4 }),
    created_at: uint,
    created_by: text,
    model: text,
    turn: id<TurnId>(),
    step: uint,
    interrupted: fc.boolean(),
    usage,
  },
  { requiredKeys: ['number', 'id', 'role', 'parts', 'created_at'] },
);

const queued: fc.Arbitrary<QueuedMessage> = fc.record(
  {
    id: id<CommandId>(),
    parts: fc.array(fc.record({ type: fc.constant('text' as const), text }), { maxLength: 3 }),
    created_by: text,
    created_at: uint,
    steer: fc.constant(true as const),
    held_until: uint,
  },
  { requiredKeys: ['id', 'parts', 'created_by', 'created_at'] },
);

const attempt = { turn: id<TurnId>(), step: uint, attempt: uint };
const kind = <K extends string>(name: K): { readonly kind: fc.Arbitrary<K> } => ({ kind: fc.constant(name) });
const type = <K extends string>(name: K): { readonly type: fc.Arbitrary<K> } => ({ type: fc.constant(name) });
const block = { ...kind('block'), step: uint, index: uint };
const tool = { ...kind('tool'), step: uint, call: text };
const compaction = { ...kind('compaction'), turn: id<TurnId>(), context_tokens: maybe(uint) };
const source = fc.constantFrom<CompactionSource>('automatic', 'manual', 'overflow');
const callName = fc.record({ call: text, name: text });

export const event: fc.Arbitrary<ChatEvent> = fc.oneof(
  fc.record({ ...kind('epoch'), after: maybe(position) }),
  fc.record({ ...kind('chat'), chat }),
  fc.record({ ...kind('message'), message }),
  fc.record({ ...kind('rewind'), from: uint, to: uint }),
  fc.record({ ...kind('queue'), queue: fc.array(queued, { maxLength: 3 }) }),
  fc.record({ ...kind('turn'), ...type('started'), turn: id<TurnId>(), model: text }),
  fc.record({ ...kind('turn'), ...type('ended'), turn: id<TurnId>(), outcome, error: maybe(errorBody) }),
  fc.record({ ...kind('step'), type: fc.constantFrom('started' as const, 'reset' as const), ...attempt }),
  fc.record({ ...kind('retry'), ...attempt, delay_ms: uint, at: uint, error: errorBody }),
  fc.record({ ...block, ...type('start'), block: partType }),
  fc.record({ ...block, ...type('delta'), offset: uint, text }),
  fc.record({ ...block, ...type('end'), bytes: uint }),
  fc.record({ ...block, ...type('start'), block: fc.constant('tool_call' as const), call: callName }),
  fc.record({ ...tool, ...type('started'), name: text }),
  fc.record({ ...tool, ...type('progress'), offset: uint, text }),
  fc.record({ ...tool, ...type('settled'), status: toolStatus }),
  fc.record({ ...kind('action'), actions: fc.array(action, { maxLength: 3 }) }),
  fc.record({
    ...compaction,
    ...type('started'),
    source,
    context_limit_tokens: maybe(uint),
  }),
  fc.record({
    ...compaction,
    ...type('ended'),
    outcome: fc.constantFrom<CompactionOutcome>('compacted', 'cut', 'failed'),
    left_tokens: maybe(uint),
  }),
  fc.record({
    ...kind('fork'),
    reason: fc.constantFrom<ForkReason>('compaction', 'edit', 'model', 'tools', 'clear', 'reasoning'),
  }),
  fc.record({ ...kind('usage'), ...attempt, usage }),
);

/** A place and how much an event there may cover. */
const placed = position
  .filter(({ seq }) => seq > 0)
  .chain((at) => fc.record({ position: fc.constant(at), span: fc.integer({ min: 1, max: at.seq }) }));

export const positionedEvent: fc.Arbitrary<PositionedEvent> = fc
  .tuple(placed, event)
  .map(([place, event]) => ({ ...place, event }));

const live: fc.Arbitrary<LiveTurn> = fc.record({
  turn: id<TurnId>(),
  model: text,
  step: uint,
  attempt: uint,
  blocks: fc.array(fc.record({ index: uint, type: partType, text, bytes: uint, ended: fc.boolean() }), {
    maxLength: 3,
  }),
  retry: maybe(fc.record({ attempt: uint, delay_ms: uint, at: uint, error: errorBody })),
  usage: maybe(usage),
  calls: fc.array(fc.record({ call: text, name: text, text, bytes: uint, status: maybe(toolStatus) }), {
    maxLength: 3,
  }),
  actions: fc.array(action, { maxLength: 3 }),
  compaction: maybe(fc.record({ source, context_tokens: maybe(uint), context_limit_tokens: maybe(uint) })),
});

const head: fc.Arbitrary<SnapshotHead> = fc.record({
  drop_older: fc.boolean(),
  disowned: fc.boolean(),
  retracted: maybe(position),
  removed: fc.array(fc.tuple(uint, uint), { maxLength: 3 }),
  has_older: fc.boolean(),
  chat,
  queue: fc.array(queued, { maxLength: 3 }),
  live: maybe(live),
});

const piece: fc.Arbitrary<SnapshotPiece> = fc.record({
  last: fc.boolean(),
  head: maybe(head),
  messages: fc.array(message, { maxLength: 4 }),
  live: fc.array(fc.tuple(uint, uint, text), { maxLength: 4 }),
  calls: fc.array(fc.tuple(uint, uint, text), { maxLength: 4 }),
});

/** Anything that the wire carries inside args and results. */
const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    uint,
    fc.integer(),
    fc.double({ noNaN: true }).map((value) => value + 0),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(label, tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value;

export const args: fc.Arbitrary<Args> = fc.dictionary(label, plain, { maxKeys: 6, noNullPrototype: true });

const op = <K extends string>(name: K): { readonly op: fc.Arbitrary<K> } => ({ op: fc.constant(name) });
const attached = { ...op('attached'), chat: id<ChatId>() };

export const serverFrame: fc.Arbitrary<ServerFrame> = fc.oneof(
  fc.record({
    ...op('welcome'),
    version: uint,
    session: text,
    node: text,
    owner: text,
    heartbeatMs: uint,
    expiresAtMs: uint,
    limits: fc.record({ messageBytes: uint, attachments: uint, requests: uint }),
  }),
  fc.record({ ...op('reply'), request: uint, result: plain, error: fc.constant(null) }),
  fc.record({ ...op('reply'), request: uint, result: fc.constant(null), error: errorBody }),
  fc.record({ ...attached, outcome: fc.constant('resumed' as const), position }),
  fc.record({ ...attached, outcome: fc.constant('snapshot' as const), position, piece }),
  fc.record({ ...attached, outcome: fc.constant('gone' as const), position: fc.constant(null) }),
  fc.tuple(id<ChatId>(), positionedEvent).map(([chat, event]) => ({ op: 'event' as const, chat, ...event })),
  fc.record(
    {
      ...op('heartbeat'),
      nowMs: uint,
      positions: fc.array(fc.tuple(id<ChatId>(), position), { maxLength: 4 }),
      feed: uint,
    },
    { requiredKeys: ['op', 'nowMs', 'positions'] },
  ),
  fc
    .record({
      from: maybe(uint),
      cursor: uint,
      more: fc.boolean(),
      chats: fc.array(summary, { maxLength: 3 }),
    })
    .map((frame) => ({ op: 'feed' as const, ...frame, cursor: Math.max(frame.cursor, frame.from ?? 0) })),
  fc.record({ ...op('drain'), afterMs: uint }),
  fc.record({ ...op('bye'), code: uint, reason: text }),
  fc.record({ ...op('refused'), chat: id<ChatId>(), error: errorBody }),
);

export const clientFrame: fc.Arbitrary<OutgoingClientFrame> = fc.oneof(
  fc.record({
    ...op('hello'),
    version: uint,
    credential: text,
    client: fc.string({ maxLength: 60 }).filter(isCleanText),
  }),
  fc.record({ ...op('auth'), request: uint, credential: text }),
  fc.record({ ...op('attach'), chat: id<ChatId>(), cursor: maybe(position) }),
  fc.record({ ...op('more'), chat: id<ChatId>() }),
  fc.record({ ...op('detach'), chat: id<ChatId>() }),
  fc.record({ ...op('command'), request: uint, id: id<CommandId>(), name: text, rawArgs: args.map(encodeArgs) }),
  fc.record({ ...op('query'), request: uint, name: text, args }),
  fc.record({ ...op('ping') }),
  fc.record({ ...op('watch'), request: uint, cursor: maybe(uint) }),
  fc.record({ ...op('unwatch') }),
);
