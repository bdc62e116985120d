// A small model of a chat and of the server that keeps its log, written apart from the reducer: mutable, without spans,
// and with the true state kept for every position. The properties of the reducer are checked against it.

import type { BlockType, Chat, Message, QueuedMessage } from '../../protocol/content.ts';
import type { ChatEvent, LiveTurn, PositionedEvent } from '../../protocol/events.ts';
import type { SnapshotPiece } from '../../protocol/frames.ts';
import type { ChatId, CommandId, Epoch, TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { comparePositions, formatPosition } from '../../protocol/position.ts';
import { must } from '../../protocol/assert.ts';
import { errorBody } from '../../protocol/errors.ts';
import { mustUuid } from './ids.ts';
import { partOfBlock } from '../../protocol/parts.ts';

export const CHAT_ID: ChatId = mustUuid('00000000-0000-7000-8000-000000000001');

/** What is true at a position, in the form in which a client shows it. */
export type Truth = {
  readonly position: Position;
  readonly chat: Chat;
  readonly messages: readonly Message[];
  readonly queue: readonly QueuedMessage[];
  readonly turn: LiveTurn | null;
};

export type Action = { readonly what: number; readonly pick: number; readonly text: string };

type Committed = { readonly message: Message; readonly at: Position };
type Block = { index: number; type: BlockType; text: string; ended: boolean };
type Turn = { id: TurnId; step: number; attempt: number; blocks: Block[]; retried: number | null; used: number | null };

const RETRY_ERROR = errorBody('model_overloaded');

/** Takes random actions, those that make no sense at the moment are left out. */
export class ModelChat {
  readonly log: PositionedEvent[] = [];
  readonly truths = new Map<string, Truth>();
  #position: Position = { epoch: 1 as Epoch, seq: 0 };
  #title = 'first';
  /** Every message ever committed, also those that left the chat. */
  readonly #committed: Committed[] = [];
  #messages: readonly Message[] = [];
  #removed: { readonly range: readonly [number, number]; readonly at: Position }[] = [];
  #queue: QueuedMessage[] = [];
  #turn: Turn | null = null;
  #nextNumber = 1;
  #nextTurn = 1;

  constructor(actions: readonly Action[]) {
    this.#keepTruth();
    for (const action of actions) this.#act(action);
  }

  get start(): Truth {
    return must(this.truths.get('1.0'), 'the state before the first event is kept');
  }

  get end(): Truth {
    return this.truth(this.#position);
  }

  truth(position: Position): Truth {
    return must(this.truths.get(formatPosition(position)), 'every position has its state');
  }

  /** A snapshot as of `asOf` for a client at `cursor`, in pieces of `perPiece` messages and code points. */
  snapshot(asOf: Position, cursor: Position | null, perPiece: number): SnapshotPiece[] {
    const truth = this.truth(asOf);
    const within = (at: Position): boolean =>
      comparePositions(at, asOf) <= 0 && (cursor === null || comparePositions(at, cursor) > 0);
    const committed = new Set(this.#committed.filter(({ at }) => within(at)).map(({ message }) => message.number));
    const messages =
      cursor === null ? truth.messages.slice(-3) : truth.messages.filter(({ number }) => committed.has(number));
    const head: SnapshotPiece['head'] = {
      drop_older: cursor === null,
      disowned: false,
      retracted: null,
      removed: cursor === null ? [] : this.#removed.filter(({ at }) => within(at)).map(({ range }) => range),
      has_older: cursor === null && truth.messages.length > 3,
      chat: truth.chat,
      queue: truth.queue,
      live: truth.turn === null ? null : { ...truth.turn, blocks: truth.turn.blocks.map((b) => ({ ...b, text: '' })) },
    };
    return pieces(head, messages, liveTexts(truth.turn, perPiece), perPiece);
  }

  #act({ what, pick, text }: Action): void {
    const turn = this.#turn;
    if (what % 2 === 0 && turn !== null && turn.blocks.length > 0) return this.#write(turn, pick, text);
    switch (what % 12) {
      case 0:
        return this.#commit({ role: 'user', created_by: 'owner', parts: [{ type: 'text', text }] });
      case 1:
        this.#title = text;
        return this.#emit({ kind: 'chat', chat: this.#chat() });
      case 2:
        this.#queue = pick % 2 === 0 ? [] : [...this.#queue, queued(pick, text)];
        return this.#emit({ kind: 'queue', queue: this.#queue });
      case 3:
        return this.#rewind(pick);
      case 4:
        return this.#emit({ kind: 'epoch', after: this.#position });
      case 5:
        return turn === null ? this.#startTurn() : this.#endTurn(turn);
      default:
        return turn === null ? this.#startTurn() : this.#advance(turn, what, pick);
    }
  }

  #advance(turn: Turn, what: number, pick: number): void {
    const { id, step, attempt } = turn;
    if (step === 0 || (turn.blocks.length === 0 && what % 3 === 1)) {
      this.#turn = { id, step: step + 1, attempt: 1, blocks: [], retried: null, used: null };
      return this.#emit({ kind: 'step', type: 'started', turn: id, step: step + 1, attempt: 1 });
    }
    switch (pick % 6) {
      case 0:
        this.#turn = { id, step, attempt: attempt + 1, blocks: [], retried: null, used: null };
        return this.#emit({ kind: 'step', type: 'started', turn: id, step, attempt: attempt + 1 });
      case 1:
        this.#turn = { ...turn, blocks: [], retried: null, used: null };
        return this.#emit({ kind: 'step', type: 'reset', turn: id, step, attempt });
      case 2:
        turn.retried = pick;
        return this.#emit({ kind: 'retry', turn: id, step, ...retry(turn, pick) });
      case 3:
        turn.used = pick;
        return this.#emit({ kind: 'usage', turn: id, step, attempt, usage: usage(pick) });
      default: {
        const type: BlockType = pick % 2 === 0 ? 'text' : 'reasoning';
        const index = turn.blocks.length;
        turn.blocks.push({ index, type, text: '', ended: false });
        return this.#emit({ kind: 'block', type: 'start', step, index, block: type });
      }
    }
  }

  #write(turn: Turn, pick: number, text: string): void {
    const { step } = turn;
    const block = must(turn.blocks[pick % turn.blocks.length], 'the turn has blocks');
    const bytes = byteLength(block.text);
    if (pick % 9 === 8) {
      const parts = turn.blocks.map(partOfBlock);
      const { id } = turn;
      turn.blocks = [];
      return this.#commit({ role: 'assistant', parts, turn: id, step, model: 'm' });
    }
    if (block.ended) return;
    if (pick % 7 === 6) {
      block.ended = true;
      return this.#emit({ kind: 'block', type: 'end', step, index: block.index, bytes });
    }
    block.text += text;
    this.#emit({ kind: 'block', type: 'delta', step, index: block.index, offset: bytes, text });
  }

  #startTurn(): void {
    const id: TurnId = mustUuid(`00000000-0000-7000-9000-${String(this.#nextTurn++).padStart(12, '0')}`);
    this.#turn = { id, step: 0, attempt: 0, blocks: [], retried: null, used: null };
    this.#emit({ kind: 'turn', type: 'started', turn: id, model: 'm' });
  }

  #endTurn(turn: Turn): void {
    this.#turn = null;
    this.#emit({ kind: 'turn', type: 'ended', turn: turn.id, outcome: 'completed', error: null });
  }

  #rewind(pick: number): void {
    const last = this.#nextNumber - 1;
    if (last === 0) return;
    const from = 1 + (pick % last);
    this.#messages = this.#messages.filter(({ number }) => number < from);
    this.#emit({ kind: 'rewind', from, to: last });
    this.#removed.push({ range: [from, last], at: this.#position });
  }

  #commit(rest: Omit<Message, 'number' | 'id' | 'created_at'>): void {
    const number = this.#nextNumber++;
    const message: Message = { number, id: `id-${number}`, created_at: number, ...rest };
    this.#committed.push({ message, at: next(this.#position) });
    this.#messages = [...this.#messages, message];
    this.#emit({ kind: 'message', message });
  }

  #emit(event: ChatEvent): void {
    this.#position =
      event.kind === 'epoch' ? { epoch: (this.#position.epoch + 1) as Epoch, seq: 1 } : next(this.#position);
    this.log.push({ position: this.#position, span: 1, event: structuredClone(event) });
    this.#keepTruth();
  }

  #keepTruth(): void {
    const truth: Truth = {
      position: this.#position,
      chat: this.#chat(),
      messages: this.#messages,
      queue: this.#queue,
      turn: this.#turn === null ? null : liveTurn(this.#turn),
    };
    this.truths.set(formatPosition(this.#position), structuredClone(truth));
  }

  #chat(): Chat {
    return {
      id: CHAT_ID,
      owner: 'owner',
      parent: null,
      root: CHAT_ID,
      title: this.#title,
      status: 'waiting',
      archived: false,
      model: 'm',
      last_error: null,
      last_turn: null,
      labels: {},
      created_at: 1,
      updated_at: 1,
    };
  }
}

/**
 * What a server may make of its log: runs of deltas of one block in one event, and a message or a reset that covers the
 * blocks of its step in front of it. `choose` decides each time.
 */
export function condense(log: readonly PositionedEvent[], choose: () => boolean): PositionedEvent[] {
  const condensed: PositionedEvent[] = [];
  for (const item of log) {
    let current = item;
    for (let before = condensed.at(-1); before !== undefined; before = condensed.at(-1)) {
      const merged = choose() ? merge(before, current) : null;
      if (merged === null) break;
      condensed.pop();
      current = merged;
    }
    condensed.push(current);
  }
  return condensed;
}

function merge(before: PositionedEvent, after: PositionedEvent): PositionedEvent | null {
  if (before.position.epoch !== after.position.epoch) return null;
  const span = before.span + after.span;
  const [a, b] = [before.event, after.event];
  if (a.kind === 'block' && b.kind === 'block' && a.type === 'delta' && b.type === 'delta' && a.index === b.index) {
    return { position: after.position, span, event: { ...b, offset: a.offset, text: a.text + b.text } };
  }
  const step = b.kind === 'message' ? b.message.step : b.kind === 'step' && b.type === 'reset' ? b.step : null;
  return a.kind === 'block' && a.step === step ? { position: after.position, span, event: b } : null;
}

function pieces(
  head: SnapshotPiece['head'],
  messages: readonly Message[],
  live: SnapshotPiece['live'],
  perPiece: number,
): SnapshotPiece[] {
  const made: SnapshotPiece[] = [];
  const size = Math.max(messages.length, live.length, 1);
  for (let at = 0; at < size; at += perPiece) {
    made.push({
      last: at + perPiece >= size,
      head: at === 0 ? head : null,
      messages: messages.slice(at, at + perPiece),
      live: live.slice(at, at + perPiece),
      calls: [],
    });
  }
  return made;
}

function liveTexts(turn: LiveTurn | null, perPiece: number): [number, number, string][] {
  return (turn?.blocks ?? []).flatMap(({ index, text }) => {
    const points = [...text];
    const texts: [number, number, string][] = [];
    for (let at = 0; at < points.length; at += perPiece) {
      const offset = byteLength(points.slice(0, at).join(''));
      texts.push([index, offset, points.slice(at, at + perPiece).join('')]);
    }
    return texts;
  });
}

function liveTurn({ id, step, attempt, blocks, retried, used }: Turn): LiveTurn {
  return {
    turn: id,
    model: 'm',
    step,
    attempt,
    blocks: blocks.map((block) => ({ ...block, bytes: byteLength(block.text) })),
    retry: retried === null ? null : retry({ attempt }, retried),
    usage: used === null ? null : usage(used),
    calls: [],
    actions: [],
    compaction: null,
  };
}

function retry({ attempt }: { attempt: number }, at: number): NonNullable<LiveTurn['retry']> {
  return { attempt, delay_ms: at, at, error: RETRY_ERROR };
}

function usage(tokens: number): NonNullable<LiveTurn['usage']> {
  return {
    input_tokens: tokens,
    output_tokens: tokens,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    estimated: false,
  };
}

function queued(pick: number, text: string): QueuedMessage {
  const id: CommandId = mustUuid(`00000000-0000-7000-a000-${String(pick).padStart(12, '0')}`);
  return { id, parts: [{ type: 'text', text }], created_by: 'owner', created_at: pick };
}

function next({ epoch, seq }: Position): Position {
  return { epoch, seq: seq + 1 };
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}
