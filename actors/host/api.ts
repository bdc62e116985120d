// What a gateway sees of the actors: attach, command, query. Everything else about chats stays behind it.

import type { ErrorBody } from '../../protocol/errors.ts';
import type { SnapshotPiece, Args } from '../../protocol/frames.ts';
import type { ChatId, CommandId, NodeId } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { CommandReply, Principal } from '../ports.ts';

/** The log of one chat, as its followers read it. They pull: a slow one holds nothing but its own cursor (P9). */
export type ReadableLog = {
  readonly chat: ChatId;
  readonly top: Position;
  /**
   * The encoded frames after `cursor`, joined, of at most about `bytesMax` (one frame at least), and the position that
   * they lead to. Followers with the same cursor get the same bytes object: never write to it. Null when the ring no
   * longer holds what comes after `cursor`: attach again with it. Empty bytes when nothing comes after it.
   */
  read(cursor: Position, bytesMax: number): { readonly bytes: Uint8Array; readonly position: Position } | null;
};

/** Callbacks of one attachment. They run inside the actor: mark and return, never do work in them. */
export type Follower = {
  /** There is more to read. */
  onAppend(): void;
  /** The log has ended (the actor was rebuilt or gave the chat up): attach again with the cursor. */
  onEnd(): void;
};

export type Attached =
  | { readonly outcome: 'resumed'; readonly log: ReadableLog; readonly position: Position; readonly detach: () => void }
  | {
      readonly outcome: 'snapshot';
      readonly log: ReadableLog;
      readonly position: Position;
      /** The pieces in order; null after the last one. */
      readonly nextPiece: () => SnapshotPiece | null;
      readonly detach: () => void;
    }
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'refused'; readonly error: ErrorBody };

export type CommandRequest = {
  readonly id: CommandId;
  readonly name: string;
  readonly args: Args;
  readonly rawArgs: Uint8Array;
  /** What this command causes is traced under it. */
  readonly trace?: TraceParent | null;
};

export type QueryResult =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: ErrorBody };

export type ChatHost = {
  attach(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached>;
  /** Resolves after the commit (P3); errors of the moment come as replies too and are not kept. Rejects for bugs only. */
  command(principal: Principal, request: CommandRequest): Promise<CommandReply>;
  /** Rejects for bugs only. */
  query(viewer: Principal, name: string, args: Args): Promise<QueryResult>;
};

/** Another node has the chat, as far as is known. */
export type Elsewhere = { readonly outcome: 'elsewhere'; readonly node: NodeId | null };
