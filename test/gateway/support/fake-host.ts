// A host without actors: chats are logs that a test appends to; every call can be answered by hand.
import type {
  Attached,
  ChatHost,
  CommandRequest,
  Follower,
  QueryResult,
  ReadableLog,
} from '../../../actors/host/api.ts';
import type { CommandReply, Principal } from '../../../actors/ports.ts';
import { encodeBody, encodeEventFrame, joinFrames } from '../../../protocol/codec.ts';
import type { SnapshotPiece } from '../../../protocol/frames.ts';
import { type ChatId, type Epoch, uuidToBytes } from '../../../protocol/ids.ts';
import { comparePositions, type Position } from '../../../protocol/position.ts';

export function position(epoch: number, seq: number): Position {
  return { epoch: epoch as Epoch, seq };
}

/** A log of text deltas in one epoch; what is below `floor` was evicted. */
export class FakeLog implements ReadableLog {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  floor = 0;
  readonly followers = new Set<Follower>();
  readonly #frames: Uint8Array[] = [];
  #offset = 0;
  /** How often bytes were read: what a paused reader must not do. */
  reads = 0;

  constructor(chat: ChatId, epoch = 1) {
    this.chat = chat;
    this.epoch = epoch as Epoch;
  }

  get top(): Position {
    return { epoch: this.epoch, seq: this.#frames.length };
  }

  append(text: string): void {
    const event = { kind: 'block', type: 'delta', step: 1, index: 0, offset: this.#offset, text } as const;
    const at = { epoch: this.epoch, seq: this.#frames.length + 1 };
    this.#frames.push(encodeEventFrame(uuidToBytes(this.chat), { position: at, span: 1, event }));
    this.#offset += Buffer.byteLength(text);
    for (const follower of this.followers) follower.onAppend();
  }

  end(): void {
    const followers = [...this.followers];
    this.followers.clear();
    for (const follower of followers) follower.onEnd();
  }

  read(cursor: Position, bytesMax: number): { readonly bytes: Uint8Array; readonly position: Position } | null {
    if (cursor.epoch !== this.epoch || cursor.seq < this.floor) return null;
    this.reads += 1;
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let seq = cursor.seq;
    for (let frame = this.#frames[seq]; frame !== undefined; frame = this.#frames[seq]) {
      if (bytes > 0 && bytes + frame.length > bytesMax) break;
      frames.push(frame);
      bytes += frame.length;
      seq += 1;
    }
    return { bytes: joinFrames(frames), position: { epoch: this.epoch, seq } };
  }
}

type AttachCall = {
  readonly viewer: Principal;
  readonly chat: ChatId;
  readonly cursor: Position | null;
  readonly follower: Follower;
};

export class FakeHost implements ChatHost {
  readonly logs = new Map<ChatId, FakeLog>();
  readonly attaches: AttachCall[] = [];
  readonly commands: { readonly principal: Principal; readonly request: CommandRequest }[] = [];
  detached = 0;
  /** Replaces the answer to an attach. */
  onAttach: ((call: AttachCall) => Promise<Attached>) | null = null;
  onCommand: (request: CommandRequest) => Promise<CommandReply> = (request) =>
    Promise.resolve({ ok: true, body: encodeBody({ did: request.name }) });
  onQuery: (name: string) => Promise<QueryResult> = (name) => Promise.resolve({ ok: true, result: { asked: name } });

  log(chat: ChatId): FakeLog {
    const log = this.logs.get(chat) ?? new FakeLog(chat);
    this.logs.set(chat, log);
    return log;
  }

  attach(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached> {
    const call = { viewer, chat, cursor, follower };
    this.attaches.push(call);
    return this.onAttach === null ? Promise.resolve(this.answer(call)) : this.onAttach(call);
  }

  /** As a real host answers: resumed when the cursor lies in the ring, a snapshot of one piece otherwise. */
  answer({ chat, cursor, follower }: AttachCall, pieces = 1): Attached {
    const log = this.logs.get(chat);
    if (log === undefined) return { outcome: 'gone' };
    log.followers.add(follower);
    const detach = (): void => {
      this.detached += 1;
      log.followers.delete(follower);
    };
    const known = cursor !== null && cursor.epoch === log.epoch && cursor.seq >= log.floor;
    if (known && comparePositions(cursor, log.top) <= 0) return { outcome: 'resumed', log, position: log.top, detach };
    let made = 0;
    const nextPiece = (): SnapshotPiece | null => {
      made += 1;
      return made > pieces ? null : piece(chat, made === 1, made === pieces);
    };
    return { outcome: 'snapshot', log, position: log.top, nextPiece, detach };
  }

  command(principal: Principal, request: CommandRequest): Promise<CommandReply> {
    this.commands.push({ principal, request });
    return this.onCommand(request);
  }

  query(_viewer: Principal, name: string): Promise<QueryResult> {
    return this.onQuery(name);
  }
}

function piece(chat: ChatId, first: boolean, last: boolean): SnapshotPiece {
  const head = {
    drop_older: true,
    disowned: false,
    retracted: null,
    removed: [],
    has_older: false,
    queue: [],
    live: null,
    chat: {
      id: chat,
      owner: 'ann',
      parent: null,
      root: chat,
      title: null,
      status: 'waiting',
      archived: false,
      model: 'scripted',
      last_error: null,
      last_turn: null,
      labels: {},
      created_at: 1,
      updated_at: 1,
    },
  } as const;
  return { last, head: first ? head : null, messages: [], live: [], calls: [] };
}
