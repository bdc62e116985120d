// Correct histories by seed, for the tests of the checker: a server of a few lines that keeps the rules of protocol/SPEC.md,
// two clients that lose their connections, crashes that lose shown text and say so.

import { must } from '../../protocol/assert.ts';
import { applyEvent } from '../../protocol/client/reducer.ts';
import { EMPTY_CHAT_STATE, type ChatState } from '../../protocol/client/chat-state.ts';
import type { Chat, Message } from '../../protocol/content.ts';
import type { ChatEvent, PositionedEvent } from '../../protocol/events.ts';
import type { SnapshotPiece } from '../../protocol/frames.ts';
import { uuidV7, type ChatId, type CommandId, type Epoch, type TurnId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { comparedState } from './compare.ts';
import type { HistoryRecord } from './history.ts';

/** In [0, 1), by seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CLIENTS = ['phone', 'desk'];
const WORDS = ['moon ', 'río ', '月', '🌕 ', 'tide '];
const STEP_MS = 10;

type Follower = { cursor: Position | null; following: boolean };
type By = { readonly client: string; readonly chat: ChatId; readonly id: CommandId };

/** A history of one chat: some turns with crashes and cuts, then calm, an answer, and the end. */
export function randomHistory(seed: number, turns = 6): readonly HistoryRecord[] {
  return new Play(seed).run(turns);
}

class Play {
  readonly #fraction: () => number;
  readonly #records: HistoryRecord[] = [];
  readonly #chat: ChatId;
  readonly #followers = new Map<string, Follower>(CLIENTS.map((name) => [name, { cursor: null, following: false }]));
  readonly #places: [number, number, number][] = [];
  readonly #said = new Map<TurnId, string>();
  /** Epoch → where what it has shown ends, the rest being lost. */
  readonly #retracted = new Map<number, Position>();
  #state: ChatState;
  /** Of the epoch that runs. */
  #log: PositionedEvent[] = [];
  #now = 1_800_000_000_000;
  #number = 0;
  /** Positions behind each delta of the live step, and the text up to there. */
  #marks: { readonly position: Position; readonly text: string }[] = [];

  constructor(seed: number) {
    this.#fraction = randomOf(seed);
    this.#chat = this.#id<ChatId>();
    const position = { epoch: 1 as Epoch, seq: 0 };
    this.#state = { ...EMPTY_CHAT_STATE, position, chat: chatOf(this.#chat, this.#now) };
    this.#emit({ kind: 'epoch', after: null });
    this.#owned();
  }

  run(turns: number): readonly HistoryRecord[] {
    for (const client of CLIENTS) this.#attach(client);
    for (let i = 0; i < turns; i++) {
      if (this.#chance(0.3)) this.#rename(`title ${i}`);
      this.#turn(false);
    }
    this.#crash();
    for (const client of CLIENTS) this.#attach(client);
    this.#records.push({ type: 'calm', at: this.#tick() });
    this.#turn(true);
    this.#end();
    return this.#records;
  }

  // ----------------------------------------------------------------------------------------------- commands

  #turn(isCalm: boolean): void {
    const by = this.#command('chat.send');
    const turn = by.id as string as TurnId;
    this.#message({ id: by.id, role: 'user', parts: [{ type: 'text', text: `question ${this.#number}` }] });
    this.#emit({ kind: 'turn', type: 'started', turn, model: 'scripted' });
    this.#acked(by, 'started');
    if (this.#chance(0.3)) {
      this.#records.push({ type: 'sent', at: this.#tick(), ...by, name: 'chat.send' });
      this.#acked(by, 'started');
    }
    const { said, step, isStopped } = this.#stream(turn, isCalm);
    this.#said.set(turn, isStopped ? `${said}and more` : said);
    this.#commit(turn, step, isStopped);
    const outcome = isStopped ? 'stopped' : 'completed';
    this.#emit({ kind: 'turn', type: 'ended', turn, outcome, error: null });
    this.#emit({ kind: 'chat', chat: { ...this.#meta, last_turn: { turn, outcome, error: null } } });
    this.#followAll();
  }

  #stream(
    turn: TurnId,
    isCalm: boolean,
  ): { readonly said: string; readonly step: number; readonly isStopped: boolean } {
    let [said, step, attempt, isStopped] = ['', 1, 1, false];
    this.#begin(turn, step, attempt);
    for (let left = 3 + this.#below(8); left > 0 && !isStopped; left--) {
      const text = this.#pick(WORDS);
      said += text;
      this.#delta(step, text);
      if (isCalm) continue;
      if (this.#chance(0.1)) this.#cut(this.#pick(CLIENTS));
      isStopped = this.#chance(0.04);
      if (!this.#chance(0.1)) continue;
      const shown = this.#live.length;
      const kept = this.#crash();
      said = said.slice(0, said.length - (shown - kept));
      if (kept > 0) {
        this.#commit(turn, step, true);
        [step, attempt] = [step + 1, 1];
      } else {
        this.#emit({ kind: 'step', type: 'reset', turn, step, attempt });
        attempt += 1;
      }
      this.#begin(turn, step, attempt);
    }
    if (isStopped) this.#acked(this.#command('chat.stop', { turn }), 'stopping');
    return { said, step, isStopped };
  }

  #rename(title: string): void {
    const by = this.#command('chat.rename', { title });
    this.#emit({ kind: 'chat', chat: { ...this.#meta, title } });
    this.#acked(by, null);
  }

  #command(name: string, rest: { readonly title?: string; readonly turn?: TurnId } = {}): By {
    const by = { client: this.#pick(CLIENTS), chat: this.#chat, id: this.#id<CommandId>() };
    this.#records.push({ type: 'sent', at: this.#tick(), ...by, name, ...rest });
    return by;
  }

  #acked(by: By, outcome: string | null): void {
    this.#records.push({ type: 'acked', at: this.#tick(), ...by, outcome, digest: `${by.id} ${outcome}` });
  }

  // -------------------------------------------------------------------------------------------------- server

  #begin(turn: TurnId, step: number, attempt: number): void {
    this.#marks = [];
    this.#emit({ kind: 'step', type: 'started', turn, step, attempt });
    this.#emit({ kind: 'block', type: 'start', step, index: 0, block: 'text' });
  }

  #delta(step: number, text: string): void {
    const offset = must(this.#state.turn?.blocks[0], 'a block has started').bytes;
    this.#emit({ kind: 'block', type: 'delta', step, index: 0, offset, text });
    this.#marks.push({ position: must(this.#state.position, 'the server stands somewhere'), text: this.#live });
  }

  #commit(turn: TurnId, step: number, interrupted: boolean): void {
    const parts = this.#live === '' ? [] : [{ type: 'text' as const, text: this.#live }];
    const cut = interrupted ? { interrupted } : {};
    this.#message({ id: this.#id(), role: 'assistant', parts, turn, step, model: 'scripted', ...cut });
  }

  #message(message: Omit<Message, 'number' | 'created_at'>): void {
    this.#number += 1;
    this.#emit({ kind: 'message', message: { ...message, number: this.#number, created_at: this.#now } });
    const { epoch, seq } = must(this.#state.position, 'the server stands somewhere');
    this.#places.push([this.#number, epoch, seq]);
  }

  #emit(event: ChatEvent): void {
    const { epoch, seq } = must(this.#state.position, 'the server stands somewhere');
    const positioned = { position: { epoch, seq: seq + 1 }, span: 1, event };
    const applied = applyEvent(this.#state, positioned);
    this.#state = must(applied.outcome === 'applied' ? applied.state : null, 'the server fits its own log');
    this.#log.push(positioned);
    for (const [client, follower] of this.#followers) if (follower.following) this.#show(client, positioned);
  }

  /** The next epoch, by another node: every connection is lost. Gives how many characters of the live text were kept. */
  #crash(): number {
    this.#records.push({ type: 'fault', at: this.#tick(), kind: 'kill', node: `node ${this.#epoch}` });
    for (const client of this.#followers.keys()) this.#cut(client, { isAway: true });
    const kept = this.#below(this.#marks.length + 1);
    const mark = this.#marks[kept - 1];
    const before = must(this.#state.position, 'the server stands somewhere');
    const block = this.#state.turn?.blocks[0];
    if (block !== undefined && kept < this.#marks.length) {
      const start = must(this.#marks[0], 'something was shown').position;
      this.#retracted.set(before.epoch, mark?.position ?? { ...start, seq: start.seq - 1 });
    }
    const text = mark?.text ?? '';
    const turn = this.#state.turn;
    const blocks = block === undefined ? [] : [{ ...block, text, bytes: Buffer.byteLength(text) }];
    this.#state = {
      ...this.#state,
      position: { epoch: (before.epoch + 1) as Epoch, seq: 0 },
      turn: turn === null ? null : { ...turn, blocks },
    };
    this.#log = [];
    this.#marks = [];
    this.#emit({ kind: 'epoch', after: null });
    this.#owned();
    return text.length;
  }

  #owned(): void {
    const [chat, epoch, node] = [this.#chat, this.#epoch, `node ${this.#epoch}`];
    this.#records.push({ type: 'owner', at: this.#tick(), chat, epoch, node }, { type: 'attempt', chat, epoch, node });
  }

  // ------------------------------------------------------------------------------------------------- clients

  #cut(client: string, { isAway = this.#chance(0.5) } = {}): void {
    const follower = must(this.#followers.get(client), 'a client of the play');
    if (!follower.following) return;
    follower.following = false;
    this.#records.push({ type: 'lost', at: this.#tick(), client });
    if (!isAway) this.#attach(client);
  }

  #followAll(): void {
    for (const [client, { following }] of this.#followers) if (!following) this.#attach(client);
  }

  #attach(client: string): void {
    const follower = must(this.#followers.get(client), 'a client of the play');
    if (follower.following) return;
    const { cursor } = follower;
    this.#records.push({ type: 'attach', at: this.#tick(), client, chat: this.#chat, cursor });
    follower.following = true;
    const position = must(this.#state.position, 'the server stands somewhere');
    const by = { type: 'frame', at: this.#tick(), client, chat: this.#chat } as const;
    if (cursor?.epoch === position.epoch && this.#chance(0.7)) {
      this.#records.push({ ...by, frame: { op: 'attached', chat: this.#chat, outcome: 'resumed', position } });
      for (const event of this.#log) if (event.position.seq > cursor.seq) this.#show(client, event);
      return;
    }
    follower.cursor = position;
    const piece = this.#piece(cursor);
    this.#records.push({ ...by, frame: { op: 'attached', chat: this.#chat, outcome: 'snapshot', position, piece } });
  }

  #piece(cursor: Position | null): SnapshotPiece {
    const { turn, messages, queue } = this.#state;
    const dropOlder = cursor === null || this.#chance(0.3);
    const since = this.#places.findLast(([, epoch, seq]) => cursor !== null && isUpTo(cursor, { epoch, seq }));
    const lost = cursor === null ? undefined : this.#retracted.get(cursor.epoch);
    const retracted = cursor !== null && lost !== undefined && lost.seq < cursor.seq ? lost : null;
    const blocks = (turn?.blocks ?? []).map((block) => ({ ...block, text: '', bytes: 0 }));
    return {
      last: true,
      head: {
        drop_older: dropOlder,
        disowned: false,
        retracted,
        removed: [],
        has_older: false,
        chat: this.#meta,
        queue,
        live: turn === null ? null : { ...turn, blocks },
      },
      messages: dropOlder ? messages : messages.filter(({ number }) => number > (since?.[0] ?? 0)),
      live: (turn?.blocks ?? []).map(({ index, text }) => [index, 0, text] as const),
      calls: [],
    };
  }

  #show(client: string, positioned: PositionedEvent): void {
    must(this.#followers.get(client), 'a client of the play').cursor = positioned.position;
    const frame = { op: 'event', chat: this.#chat, ...positioned } as const;
    this.#records.push({ type: 'frame', at: this.#tick(), client, chat: this.#chat, frame });
  }

  #end(): void {
    const [chat, state] = [this.#chat, comparedState(this.#state)];
    for (const client of CLIENTS) this.#records.push({ type: 'ended', at: this.#tick(), client, chat, state });
    this.#records.push({ type: 'fresh', at: this.#tick(), chat, state });
    for (const [turn, text] of this.#said) this.#records.push({ type: 'said', chat, turn, text });
    const { messages } = this.#state;
    this.#records.push({ type: 'page', chat, messages: messages.slice(0, 3), last: false, queue: [] });
    this.#records.push({ type: 'page', chat, messages: messages.slice(3), last: true, queue: [] });
    this.#records.push({ type: 'rows', chat, places: this.#places });
  }

  // ------------------------------------------------------------------------------------------------- helpers

  get #meta(): Chat {
    return must(this.#state.chat, 'the server has the chat');
  }

  get #epoch(): number {
    return must(this.#state.position, 'the server stands somewhere').epoch;
  }

  get #live(): string {
    return this.#state.turn?.blocks[0]?.text ?? '';
  }

  #tick(): number {
    this.#now += STEP_MS;
    return this.#now;
  }

  #chance(probability: number): boolean {
    return this.#fraction() < probability;
  }

  #below(count: number): number {
    return Math.floor(this.#fraction() * count);
  }

  #pick<T>(items: readonly T[]): T {
    return must(items[this.#below(items.length)], 'there is something to pick');
  }

  #id<T extends string>(): T {
    return uuidV7<T>(
      this.#now,
      Uint8Array.from({ length: 10 }, () => this.#below(256)),
    );
  }
}

function isUpTo(cursor: Position, place: { readonly epoch: number; readonly seq: number }): boolean {
  return place.epoch < cursor.epoch || (place.epoch === cursor.epoch && place.seq <= cursor.seq);
}

function chatOf(id: ChatId, at: number): Chat {
  return {
    id,
    owner: 'somebody',
    parent: null,
    root: id,
    title: null,
    status: 'waiting',
    archived: false,
    model: 'scripted',
    last_error: null,
    last_turn: null,
    labels: {},
    created_at: at,
    updated_at: at,
  };
}
