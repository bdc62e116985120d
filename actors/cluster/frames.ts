// What nodes say to each other, as values and as fields by position. How they are signed and numbered by version is the
// envelope's; this is the content of version 1.
//
//   to all        beat · fed · revoked · left · told
//   command subj. handed · follow · unfollow · ack · call · answer
//   event subject link (its items are the events of every chat that the receiver follows at the sender)

import type { ActorEpoch } from '../actor-ports.ts';
import { unreachable } from '../../protocol/assert.ts';
import type { ErrorBody } from '../../protocol/errors.ts';
import { asArray, asBool, asId, asPosition, asString, asUint, orNull } from '../../protocol/fields.ts';
import { uuidToBytes, type ChatId, type CommandId, type Epoch, type NodeId, type OwnerId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import { ProtocolError } from '../../protocol/protocol-error.ts';
import { parseTraceParent, type TraceParent } from '../../protocol/trace-parent.ts';
import { parseError, wireError } from '../../protocol/wire-content.ts';
import type { Principal } from '../ports.ts';

/** What a node tells all others about itself. */
export type Beat = {
  /** For people. */
  readonly name: string;
  /** Versions that it understands: the last one, and the one before. */
  readonly speaks: { readonly min: number; readonly max: number };
  /** Chats that it has in memory: who has more gets less. */
  readonly load: number;
  /** It goes down: nothing new goes there. */
  readonly draining: boolean;
};

/** One chat that a gateway wants to follow, over one of its links. */
export type FollowRequest = {
  /** Chosen by the gateway, each higher than those before: whatever comes on a lower one is void. */
  readonly link: number;
  /** Of this request, in the gateway. */
  readonly id: number;
  readonly chat: ChatId;
  readonly viewer: Principal;
  /** Where a client, or the mirror, stands. */
  readonly cursor: Position | null;
  /** The gateway has a mirror as of `cursor`: what comes after it is enough, if that is still there. */
  readonly again: boolean;
  /** The highest epoch of the chat that the gateway has seen; 0: none. An owner with a lower one is over. */
  readonly epoch: number;
};

export type LinkItem =
  /** Events of the chat, encoded and joined, in their order and without a hole. */
  | { readonly type: 'frames'; readonly id: number; readonly bytes: Uint8Array }
  /** The beginning of what the next item of the same id has the end of: a frame can be larger than a message. */
  | { readonly type: 'part'; readonly id: number; readonly bytes: Uint8Array }
  /** The follow was taken up: events after the cursor follow. */
  | { readonly type: 'resumed'; readonly id: number; readonly position: Position }
  /** It begins anew: the ring from `floor` (a seq of this epoch) to `position`, then the state as of that, then events. */
  | {
      readonly type: 'state';
      readonly id: number;
      readonly position: Position;
      readonly sealed: Position | null;
      readonly floor: number;
    }
  | { readonly type: 'ring'; readonly id: number; readonly bytes: Uint8Array }
  /** A piece of a snapshot without messages, as `attached` frames carry them; the last one says so itself. */
  | { readonly type: 'piece'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'gone'; readonly id: number }
  | { readonly type: 'refused'; readonly id: number; readonly error: ErrorBody }
  /** Not here (any more); `node`: who has it, where that is known. */
  | { readonly type: 'ended'; readonly id: number; readonly node: NodeId | null };

export type Call =
  | {
      readonly type: 'command';
      readonly principal: Principal;
      readonly id: CommandId;
      readonly name: string;
      readonly rawArgs: Uint8Array;
      readonly trace: TraceParent | null;
      readonly epoch: number;
      readonly chat: ChatId;
    }
  /** The messages that wait in the chat. */
  | { readonly type: 'queue'; readonly viewer: Principal; readonly chat: ChatId; readonly epoch: number }
  /** Where the log of the chat stands, after asking storage whether it is still the chat's. */
  | { readonly type: 'confirm'; readonly viewer: Principal; readonly chat: ChatId; readonly epoch: number }
  /** The chat has to rest for a moment: it is archived with its tree. */
  | { readonly type: 'rest'; readonly viewer: Principal; readonly chat: ChatId; readonly epoch: number };

export type Answer =
  | { readonly type: 'reply'; readonly ok: boolean; readonly body: Uint8Array }
  | { readonly type: 'top'; readonly position: Position }
  | { readonly type: 'elsewhere'; readonly node: NodeId | null };

export type ClusterFrame =
  | ({ readonly kind: 'beat' } & Beat)
  | { readonly kind: 'fed'; readonly owners: readonly string[] }
  | { readonly kind: 'revoked' }
  /** A chat of the sender has told others something. */
  | { readonly kind: 'told' }
  /** The sender has retired: the database says so to whoever looks. */
  | { readonly kind: 'left' }
  /** These chats are free, and the receiver should have them: it takes them up before anybody asks. */
  | { readonly kind: 'handed'; readonly chats: readonly ChatId[] }
  /** These chats were taken from the receiver: their epochs are at least these. */
  | { readonly kind: 'taken'; readonly chats: readonly ActorEpoch[] }
  | ({ readonly kind: 'follow' } & FollowRequest)
  | { readonly kind: 'unfollow'; readonly link: number; readonly id: number }
  /** Everything up to `seq` of the link has been taken in. */
  | { readonly kind: 'ack'; readonly link: number; readonly seq: number }
  | { readonly kind: 'link'; readonly link: number; readonly seq: number; readonly items: readonly LinkItem[] }
  | { readonly kind: 'call'; readonly request: number; readonly call: Call }
  | { readonly kind: 'answer'; readonly request: number; readonly answer: Answer };

/** Append only. */
const KINDS = {
  beat: 1,
  fed: 2,
  revoked: 3,
  handed: 4,
  follow: 5,
  unfollow: 6,
  ack: 7,
  link: 8,
  call: 9,
  answer: 10,
  left: 11,
  taken: 12,
  told: 13,
} as const satisfies Record<ClusterFrame['kind'], number>;

const ITEMS = {
  frames: 1,
  part: 2,
  resumed: 3,
  state: 4,
  ring: 5,
  piece: 6,
  gone: 7,
  refused: 8,
  ended: 9,
} as const satisfies Record<LinkItem['type'], number>;

const CALLS = { command: 1, queue: 2, confirm: 3, rest: 4 } as const satisfies Record<Call['type'], number>;
const ANSWERS = { reply: 1, top: 2, elsewhere: 3 } as const satisfies Record<Answer['type'], number>;

const ROLES: readonly Principal['role'][] = ['member', 'auditor', 'admin'];

/** The kind's number, then its fields. */
export function wireFrame(frame: ClusterFrame): readonly unknown[] {
  const kind = KINDS[frame.kind];
  switch (frame.kind) {
    case 'beat':
      return [kind, frame.name, frame.speaks.min, frame.speaks.max, frame.load, frame.draining];
    case 'fed':
      return [kind, frame.owners];
    case 'revoked':
    case 'left':
    case 'told':
      return [kind];
    case 'handed':
      return [kind, frame.chats.map(uuidToBytes)];
    case 'taken':
      return [kind, frame.chats.map(({ chat, epoch }) => [uuidToBytes(chat), epoch])];
    case 'follow': {
      const { link, id, chat, viewer, cursor, again, epoch } = frame;
      return [kind, link, id, uuidToBytes(chat), wirePrincipal(viewer), place(cursor), again, epoch];
    }
    case 'unfollow':
      return [kind, frame.link, frame.id];
    case 'ack':
      return [kind, frame.link, frame.seq];
    case 'link':
      return [kind, frame.link, frame.seq, frame.items.map(wireItem)];
    case 'call':
      return [kind, frame.request, wireCall(frame.call)];
    case 'answer':
      return [kind, frame.request, wireAnswer(frame.answer)];
    default:
      return unreachable(frame);
  }
}

/** Its fields are the same in every version. */
export function isBeat([kind]: readonly unknown[]): boolean {
  return kind === KINDS.beat;
}

/** Null: a kind of a later version. Throws a `ProtocolError` for what is no frame. */
export function parseFrame(fields: readonly unknown[]): ClusterFrame | null {
  const [kind, first, second, third, fourth, fifth, sixth, seventh] = fields;
  switch (asUint(kind, 'kind')) {
    case KINDS.beat:
      return {
        kind: 'beat',
        name: asString(first, 'beat.name').slice(0, 64),
        speaks: { min: asUint(second, 'beat.min'), max: asUint(third, 'beat.max') },
        load: asUint(fourth, 'beat.load'),
        draining: asBool(fifth, 'beat.draining'),
      };
    case KINDS.fed:
      return { kind: 'fed', owners: asArray(first, 'fed.owners').map((owner) => asString(owner, 'fed.owner')) };
    case KINDS.revoked:
      return { kind: 'revoked' };
    case KINDS.left:
      return { kind: 'left' };
    case KINDS.told:
      return { kind: 'told' };
    case KINDS.handed:
      return { kind: 'handed', chats: asArray(first, 'handed.chats').map((chat) => asId<ChatId>(chat, 'handed.chat')) };
    case KINDS.taken:
      return { kind: 'taken', chats: asArray(first, 'taken.chats').map(parseTaken) };
    case KINDS.follow:
      return {
        kind: 'follow',
        link: asUint(first, 'follow.link'),
        id: asUint(second, 'follow.id'),
        chat: asId<ChatId>(third, 'follow.chat'),
        viewer: parsePrincipal(fourth),
        cursor: orNull(fifth, 'follow.cursor', asPosition),
        again: asBool(sixth, 'follow.again'),
        epoch: asUint(seventh, 'follow.epoch'),
      };
    case KINDS.unfollow:
      return { kind: 'unfollow', link: asUint(first, 'unfollow.link'), id: asUint(second, 'unfollow.id') };
    case KINDS.ack:
      return { kind: 'ack', link: asUint(first, 'ack.link'), seq: asUint(second, 'ack.seq') };
    case KINDS.link: {
      const items = asArray(third, 'link.items').flatMap((item) => parseItem(asArray(item, 'link.item')) ?? []);
      return { kind: 'link', link: asUint(first, 'link.link'), seq: asUint(second, 'link.seq'), items };
    }
    case KINDS.call:
      return { kind: 'call', request: asUint(first, 'call.request'), call: parseCall(asArray(second, 'call.call')) };
    case KINDS.answer:
      return {
        kind: 'answer',
        request: asUint(first, 'answer.request'),
        answer: parseAnswer(asArray(second, 'answer')),
      };
    default:
      return null;
  }
}

function parseTaken(value: unknown): ActorEpoch {
  const [chat, epoch] = asArray(value, 'taken.chat');
  return { chat: asId<ChatId>(chat, 'taken.chat'), epoch: asUint(epoch, 'taken.epoch') as Epoch };
}

function wireItem(item: LinkItem): readonly unknown[] {
  const type = ITEMS[item.type];
  switch (item.type) {
    case 'frames':
    case 'part':
    case 'ring':
    case 'piece':
      return [type, item.id, item.bytes];
    case 'resumed':
      return [type, item.id, place(item.position)];
    case 'state':
      return [type, item.id, place(item.position), place(item.sealed), item.floor];
    case 'gone':
      return [type, item.id];
    case 'refused':
      return [type, item.id, wireError(item.error)];
    case 'ended':
      return [type, item.id, item.node === null ? null : uuidToBytes(item.node)];
    default:
      return unreachable(item);
  }
}

function parseItem([type, first, second, third, fourth]: readonly unknown[]): LinkItem | null {
  const id = asUint(first, 'item.id');
  switch (asUint(type, 'item.type')) {
    case ITEMS.frames:
      return { type: 'frames', id, bytes: asBytes(second, 'item.bytes') };
    case ITEMS.part:
      return { type: 'part', id, bytes: asBytes(second, 'item.bytes') };
    case ITEMS.ring:
      return { type: 'ring', id, bytes: asBytes(second, 'item.bytes') };
    case ITEMS.piece:
      return { type: 'piece', id, bytes: asBytes(second, 'item.bytes') };
    case ITEMS.resumed:
      return { type: 'resumed', id, position: asPosition(second, 'item.position') };
    case ITEMS.state: {
      const sealed = orNull(third, 'item.sealed', asPosition);
      return {
        type: 'state',
        id,
        position: asPosition(second, 'item.position'),
        sealed,
        floor: asUint(fourth, 'item.floor'),
      };
    }
    case ITEMS.gone:
      return { type: 'gone', id };
    case ITEMS.refused:
      return { type: 'refused', id, error: parseError(second) };
    case ITEMS.ended:
      return { type: 'ended', id, node: orNull(second, 'item.node', (node, field) => asId<NodeId>(node, field)) };
    default:
      return null;
  }
}

function wireCall(call: Call): readonly unknown[] {
  const type = CALLS[call.type];
  switch (call.type) {
    case 'command': {
      const { principal, id, name, rawArgs, trace, epoch, chat } = call;
      return [type, wirePrincipal(principal), uuidToBytes(chat), epoch, uuidToBytes(id), name, rawArgs, trace];
    }
    case 'queue':
    case 'confirm':
    case 'rest':
      return [type, wirePrincipal(call.viewer), uuidToBytes(call.chat), call.epoch];
    default:
      return unreachable(call);
  }
}

function parseCall([type, first, second, third, fourth, fifth, sixth, seventh]: readonly unknown[]): Call {
  const viewer = parsePrincipal(first);
  const chat = asId<ChatId>(second, 'call.chat');
  const epoch = asUint(third, 'call.epoch');
  switch (asUint(type, 'call.type')) {
    case CALLS.command: {
      const trace = orNull(seventh, 'call.trace', asString);
      return {
        type: 'command',
        principal: viewer,
        chat,
        epoch,
        id: asId<CommandId>(fourth, 'call.id'),
        name: asString(fifth, 'call.name'),
        rawArgs: asBytes(sixth, 'call.args'),
        trace: trace === null ? null : parseTraceParent(trace),
      };
    }
    case CALLS.queue:
      return { type: 'queue', viewer, chat, epoch };
    case CALLS.confirm:
      return { type: 'confirm', viewer, chat, epoch };
    case CALLS.rest:
      return { type: 'rest', viewer, chat, epoch };
    default:
      throw new ProtocolError('bad_frame', 'call.type is none that this version knows');
  }
}

function wireAnswer(answer: Answer): readonly unknown[] {
  const type = ANSWERS[answer.type];
  switch (answer.type) {
    case 'reply':
      return [type, answer.ok, answer.body];
    case 'top':
      return [type, place(answer.position)];
    case 'elsewhere':
      return [type, answer.node === null ? null : uuidToBytes(answer.node)];
    default:
      return unreachable(answer);
  }
}

function parseAnswer([type, first, second]: readonly unknown[]): Answer {
  switch (asUint(type, 'answer.type')) {
    case ANSWERS.reply:
      return { type: 'reply', ok: asBool(first, 'answer.ok'), body: asBytes(second, 'answer.body') };
    case ANSWERS.top:
      return { type: 'top', position: asPosition(first, 'answer.position') };
    case ANSWERS.elsewhere:
      return { type: 'elsewhere', node: orNull(first, 'answer.node', (node, field) => asId<NodeId>(node, field)) };
    default:
      throw new ProtocolError('bad_frame', 'answer.type is none that this version knows');
  }
}

function wirePrincipal({ owner, role, groups }: Principal): readonly unknown[] {
  return [owner, role, groups];
}

function parsePrincipal(value: unknown): Principal {
  const [owner, role, groups] = asArray(value, 'principal');
  const known = ROLES.find((one) => one === role);
  if (known === undefined) throw new ProtocolError('bad_frame', 'principal.role is none');
  return {
    owner: asString(owner, 'principal.owner') as OwnerId,
    role: known,
    groups: asArray(groups, 'principal.groups').map((group) => asString(group, 'principal.group')),
  };
}

function place(position: Position | null): readonly [number, number] | null {
  return position === null ? null : [position.epoch, position.seq];
}

function asBytes(value: unknown, field: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new ProtocolError('bad_frame', `${field} is no bin`);
  return value;
}
