// What a client that applied every event so far would show, but for the messages: the part of a snapshot that comes
// from memory. It changes only with appended events, so it is always "as of the top position".

import type { Action, BlockType, CallName, Chat, QueuedMessage, ToolStatus, Usage } from '../../protocol/content.ts';
import type {
  BlockEvent,
  ChatEvent,
  CompactionEvent,
  LiveTurn,
  RetryEvent,
  StepEvent,
  ToolEvent,
  TurnEvent,
} from '../../protocol/events.ts';
import type { TurnId } from '../../protocol/ids.ts';
import { callField } from '../../protocol/parts.ts';
import { utf8Length } from '../../protocol/text.ts';
import type { TurnRecord } from '../turn-ports.ts';
import type { CallRow } from '../tool-ports.ts';
import { actionsOf } from './tool-calls.ts';
import { assert, must, unreachable } from '../../protocol/assert.ts';

type Block = {
  readonly index: number;
  readonly type: BlockType;
  readonly call?: CallName;
  text: string;
  bytes: number;
  ended: boolean;
};
type Call = CallName & { text: string; bytes: number; status: ToolStatus | null };

/** Mutable on purpose: a delta costs one string append, not a copy of the turn. Only the stream log applies events. */
export class LiveView {
  chat: Chat;
  queue: readonly QueuedMessage[];
  #turn: { id: TurnId; model: string; step: number; attempt: number } | null = null;
  #blocks: Block[] = [];
  #retry: LiveTurn['retry'] = null;
  #usage: Usage | null = null;
  #calls: Call[] = [];
  #actions: readonly Action[] = [];
  #compaction: LiveTurn['compaction'] = null;

  constructor(opening: {
    readonly chat: Chat;
    readonly queue: readonly QueuedMessage[];
    readonly turn: TurnRecord | null;
    readonly calls: readonly CallRow[];
    /** The turn as another node shows it: instead of `turn`. */
    readonly live?: LiveTurn | null;
  }) {
    this.chat = opening.chat;
    this.queue = opening.queue;
    if (opening.live) {
      this.#adopt(opening.live);
      return;
    }
    const { turn } = opening;
    if (turn === null) return;
    const { id, model, step, attempt } = turn;
    this.#turn = { id, model, step, attempt };
    this.#calls = opening.calls.map(({ call, name: tool }) => ({ call, name: tool, text: '', bytes: 0, status: null }));
    this.#actions = actionsOf(opening.calls);
    if (turn.retry === null) return;
    const { error, atMs, delayMs } = turn.retry;
    this.#retry = { attempt, delay_ms: delayMs, at: atMs, error };
  }

  /** All of it: what a copy left out, every snapshot that is made of it would lack. */
  #adopt({
    turn: id,
    model,
    step,
    attempt,
    blocks,
    retry,
    usage,
    calls,
    actions,
    compaction,
    ...none
  }: LiveTurn): void {
    none satisfies Record<string, never>;
    this.#turn = { id, model, step, attempt };
    this.#blocks = blocks.map((block) => ({ ...block }));
    this.#retry = retry;
    this.#usage = usage;
    this.#calls = calls.map((call) => ({ ...call }));
    this.#actions = actions;
    this.#compaction = compaction;
  }

  /** A copy that later events leave alone. */
  turn(): LiveTurn | null {
    if (this.#turn === null) return null;
    return {
      turn: this.#turn.id,
      model: this.#turn.model,
      step: this.#turn.step,
      attempt: this.#turn.attempt,
      blocks: this.#blocks.map((block) => ({ ...block })),
      retry: this.#retry,
      usage: this.#usage,
      calls: this.#calls.map((call) => ({ ...call })),
      actions: this.#actions,
      compaction: this.#compaction,
    };
  }

  /** Bytes of UTF-8 that the call has given so far: the offset of its next progress. */
  callBytes(call: string): number {
    return this.#call(call).bytes;
  }

  apply(event: ChatEvent): void {
    switch (event.kind) {
      case 'chat':
        this.chat = event.chat;
        return;
      case 'queue':
        this.queue = event.queue;
        return;
      case 'turn':
        return this.#applyTurn(event);
      case 'step':
        return this.#applyStep(event);
      case 'retry':
        return this.#applyRetry(event);
      case 'block':
        return this.#applyBlock(event);
      case 'message':
        if (event.message.step === this.#turn?.step && event.message.turn === this.#turn?.id) this.#blocks = [];
        return;
      case 'tool':
        return this.#applyTool(event);
      case 'action':
        this.#actions = event.actions;
        return;
      case 'compaction':
        this.#compaction = event.type === 'ended' ? null : startedOf(event);
        return;
      case 'usage':
        this.#usage = event.usage;
        return;
      case 'epoch':
      case 'rewind':
      case 'fork':
        return;
      default:
        return unreachable(event);
    }
  }

  #applyTurn(event: TurnEvent): void {
    this.#clear();
    this.#turn = event.type === 'started' ? { id: event.turn, model: event.model, step: 0, attempt: 0 } : null;
  }

  #applyStep(event: StepEvent): void {
    const turn = must(this.#turn, 'a step belongs to a started turn');
    turn.step = event.step;
    turn.attempt = event.attempt;
    this.#clear();
  }

  #clear(): void {
    this.#blocks = [];
    this.#retry = null;
    this.#usage = null;
    this.#calls = [];
    this.#actions = [];
    this.#compaction = null;
  }

  #applyRetry(event: RetryEvent): void {
    const { kind: _kind, turn: _turn, step: _step, ...retry } = event;
    this.#retry = retry;
  }

  #applyBlock(event: BlockEvent): void {
    if (event.type === 'start') {
      assert(event.index === this.#blocks.length, 'blocks are numbered in the order in which they start');
      const { index, block: type, call } = event;
      this.#blocks.push({ index, type, text: '', bytes: 0, ended: false, ...callField(call) });
      return;
    }
    const block = this.#block(event.index);
    if (event.type === 'end') {
      block.ended = true;
      return;
    }
    assert(event.offset === block.bytes, 'a delta begins where its block ends');
    block.text += event.text;
    block.bytes += utf8Length(event.text);
  }

  #applyTool(event: ToolEvent): void {
    if (event.type === 'started') {
      const { call, name } = event;
      if (!this.#calls.some((known) => known.call === call))
        this.#calls.push({ call, name, text: '', bytes: 0, status: null });
      return;
    }
    const call = this.#call(event.call);
    if (event.type === 'settled') {
      Object.assign(call, { text: '', bytes: 0, status: event.status });
      return;
    }
    assert(event.offset === call.bytes, 'progress begins where its call ends');
    call.text += event.text;
    call.bytes += utf8Length(event.text);
  }

  #call(call: string): Call {
    return must(
      this.#calls.find((known) => known.call === call),
      'a call has started before its progress',
    );
  }

  #block(index: number): Block {
    return must(this.#blocks[index], 'a block has started before its deltas');
  }
}

function startedOf(event: Extract<CompactionEvent, { type: 'started' }>): LiveTurn['compaction'] {
  const { source, context_tokens, context_limit_tokens } = event;
  return { source, context_tokens, context_limit_tokens };
}
