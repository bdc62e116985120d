// What a client that applied every event so far would show, but for the messages: the part of a snapshot that comes
// from memory. It changes only with appended events, so it is always "as of the top position".

import type { BlockType, Chat, QueuedMessage, Usage } from '../../protocol/content.ts';
import type { BlockEvent, ChatEvent, LiveTurn, RetryEvent, StepEvent, TurnEvent } from '../../protocol/events.ts';
import type { TurnId } from '../../protocol/ids.ts';
import type { TurnRecord } from '../ports.ts';
import { assert, must, unreachable } from '../../protocol/assert.ts';

type Block = { readonly index: number; readonly type: BlockType; text: string; bytes: number; ended: boolean };

/** Mutable on purpose: a delta costs one string append, not a copy of the turn. Only the stream log applies events. */
export class LiveView {
  chat: Chat;
  queue: readonly QueuedMessage[];
  #turn: { id: TurnId; model: string; step: number; attempt: number } | null = null;
  #blocks: Block[] = [];
  #retry: LiveTurn['retry'] = null;
  #usage: Usage | null = null;

  constructor(opening: {
    readonly chat: Chat;
    readonly queue: readonly QueuedMessage[];
    readonly turn: TurnRecord | null;
  }) {
    this.chat = opening.chat;
    this.queue = opening.queue;
    const { turn } = opening;
    if (turn === null) return;
    const { id, model, step, attempt } = turn;
    this.#turn = { id, model, step, attempt };
    if (turn.retry === null) return;
    const { error, atMs, delayMs } = turn.retry;
    this.#retry = { attempt, delay_ms: delayMs, at: atMs, error };
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
    };
  }

  /** Bytes of UTF-8 that the block has so far: the offset of its next delta. */
  blockBytes(index: number): number {
    return this.#block(index).bytes;
  }

  apply(event: ChatEvent, textBytes: number): void {
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
        return this.#applyBlock(event, textBytes);
      case 'message':
        if (event.message.step === this.#turn?.step && event.message.turn === this.#turn?.id) this.#blocks = [];
        return;
      case 'usage':
        this.#usage = event.usage;
        return;
      case 'epoch':
      case 'rewind':
        return;
      default:
        return unreachable(event);
    }
  }

  #applyTurn(event: TurnEvent): void {
    this.#blocks = [];
    this.#retry = null;
    this.#usage = null;
    this.#turn = event.type === 'started' ? { id: event.turn, model: event.model, step: 0, attempt: 0 } : null;
  }

  #applyStep(event: StepEvent): void {
    const turn = must(this.#turn, 'a step belongs to a started turn');
    turn.step = event.step;
    turn.attempt = event.attempt;
    this.#blocks = [];
    this.#retry = null;
    this.#usage = null;
  }

  #applyRetry(event: RetryEvent): void {
    const { kind: _kind, turn: _turn, step: _step, ...retry } = event;
    this.#retry = retry;
  }

  #applyBlock(event: BlockEvent, textBytes: number): void {
    if (event.type === 'start') {
      assert(event.index === this.#blocks.length, 'blocks are numbered in the order in which they start');
      this.#blocks.push({ index: event.index, type: event.block, text: '', bytes: 0, ended: false });
      return;
    }
    const block = this.#block(event.index);
    if (event.type === 'end') {
      block.ended = true;
      return;
    }
    assert(event.offset === block.bytes, 'a delta begins where its block ends');
    block.text += event.text;
    block.bytes += textBytes;
  }

  #block(index: number): Block {
    return must(this.#blocks[index], 'a block has started before its deltas');
  }
}
