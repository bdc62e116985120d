// The one entry of the client library, for browsers and Node.

export { ParleyClient, type ClientOptions, type CommandOptions } from './client.ts';
export { ChatHandle } from './chat-handle.ts';
export { Feed, type FeedStatus } from './feed.ts';
export {
  applyChatPage,
  applyFeed,
  EMPTY_FEED_STATE,
  sortedChats,
  type FeedApplied,
  type FeedState,
} from './feed-state.ts';
export type { AttachmentStatus } from './attachment.ts';
export type { ConnectionStatus } from './status.ts';
export type { CredentialSource } from './connection.ts';
export type {
  ChatPage,
  ListCursor,
  ListOptions,
  MessagePage,
  MessagesOptions,
  Model,
  NewChat,
  NewMessage,
  Sent,
  Stopped,
  StopOptions,
} from './calls.ts';
export type { ClientTool, ToolContext } from './client-tools.ts';
export type { Answered, ApprovalAnswer, ToolAnswer, ToolDeclaration } from './tool-calls.ts';
export type { Cleared, Edit, Fork, Forked, QueueChange, QueueChanged } from './edit-calls.ts';
export type { MadeToken, NewToken, TokenCursor, TokenPage } from './access-calls.ts';
export { ClientError, CommandError, type ClientErrorKind } from './errors.ts';
export type { ClientClock, ClientRandom, WebSocketConstructor, WebSocketLike } from './environment.ts';

// The reducer and its state, for whoever keeps chats without the rest.
export { EMPTY_CHAT_STATE, type ChatState } from './chat-state.ts';
export { applyEvent, type Applied, type SkippedEvent } from './reducer.ts';
export { applyPiece, applyResumed, discardStaging, type SnapshotApplied } from './snapshot.ts';
export { applyOlderPage, applyPartText, dismissRetracted, type OlderPage, type PartText } from './local.ts';

// What of the protocol an application meets.
export type {
  Action,
  Busy,
  Chat,
  ChatStatus,
  ChatSummary,
  Message,
  Part,
  PartOrReference,
  QueuedMessage,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  ToolStatus,
  TurnEnd,
  TurnOutcome,
  Usage,
} from '../content.ts';
export type { ChatEvent, LiveBlock, LiveCall, LiveTurn, PositionedEvent } from '../events.ts';
export type { FeedFrame, ServerFrame, SnapshotPiece } from '../frames.ts';
export type { TokenInfo } from '../wire-token.ts';
export type { ErrorBody, ErrorCode } from '../errors.ts';
export { parseUuid, type ChatId, type CommandId, type TokenId, type TurnId } from '../ids.ts';
export { comparePositions, formatPosition, type Position } from '../position.ts';
