// The catalogue of error codes. Append only: a code keeps its meaning for ever, a client may branch on it.

/** What a client may do about an error: nothing, try again at once, or try again after a while (`retry_after_ms`). */
export type Retry = 'never' | 'now' | 'later';

type Entry = { readonly retry: Retry; readonly message: string };

/** Code → what a client may do, and one plain sentence that says what to do. */
export const ERRORS = {
  bad_frame: { retry: 'never', message: 'The bytes are not a frame of this protocol.' },
  bad_text: { retry: 'never', message: 'Text must be UTF-8 without NUL and without lone surrogates.' },
  bad_args: { retry: 'never', message: 'The arguments do not fit the command or query.' },
  bad_command_id: { retry: 'never', message: 'A command id is a UUIDv7, at most 24 h ahead of the server clock.' },
  unknown_op: { retry: 'never', message: 'The server does not know this op.' },
  unknown_command: { retry: 'never', message: 'The server does not know this command.' },
  unknown_query: { retry: 'never', message: 'The server does not know this query.' },
  unknown_model: { retry: 'never', message: 'No such model is set up on this server.' },
  unsupported_version: { retry: 'never', message: 'The server does not speak this version of the protocol.' },
  unauthorized: { retry: 'never', message: 'The credential is not valid here. Get a new one and connect again.' },
  token_expired: { retry: 'now', message: 'The credential has expired. Get a fresh one and connect again.' },
  forbidden: { retry: 'never', message: 'Your role does not allow this.' },
  not_found: { retry: 'never', message: 'There is no such thing, or it is not yours.' },
  archived: { retry: 'never', message: 'The chat is archived. Unarchive it first.' },
  parent_archived: { retry: 'never', message: 'The parent of the chat is archived. Unarchive the parent first.' },
  busy: { retry: 'later', message: 'A turn is running. Wait for its end, or send with busy "queue" or "interrupt".' },
  queue_full: { retry: 'later', message: 'The queue of the chat is full. Wait until a message has left it.' },
  not_queued: { retry: 'never', message: 'The message does not wait in the queue any more.' },
  queue_changed: {
    retry: 'never',
    message: 'The queue holds other messages by now. Look at it, then order it with a new command.',
  },
  not_editable: { retry: 'never', message: 'Only what users have sent can be edited.' },
  nothing_to_retry: { retry: 'never', message: 'The model sees no message of a user that it could answer again.' },
  nothing_to_clear: { retry: 'never', message: 'The model sees no message of this chat already.' },
  not_waiting: {
    retry: 'never',
    message: 'No such call waits for this: it was answered already, or is over. Look at the chat.',
  },
  id_reused: { retry: 'never', message: 'This command id was used for another command. Make a new one.' },
  already_applied: { retry: 'never', message: 'The command took effect long ago; its reply is no longer kept.' },
  expired: {
    retry: 'never',
    message: 'The command id is older than 24 h and unknown. Look at the chat, then make a new one.',
  },
  not_attached: { retry: 'never', message: 'The session does not follow this chat, or has no piece to pull.' },
  too_many: { retry: 'later', message: 'A limit of the connection is reached.' },
  too_large: { retry: 'never', message: 'The frame or the value is larger than the limit.' },
  rate_limited: { retry: 'later', message: 'Too many requests. Slow down.' },
  unavailable: { retry: 'later', message: 'The server cannot do this now. Nothing was changed by it.' },
  unknown_outcome: { retry: 'now', message: 'The outcome is not known. Send the same command id again to learn it.' },
  shutting_down: { retry: 'later', message: 'The server is going down. Connect again.' },
  internal: { retry: 'later', message: 'The server failed. Send the same command id again.' },
  model_overloaded: { retry: 'later', message: 'The model provider is overloaded.' },
  model_rate_limited: { retry: 'later', message: 'The model provider limits the rate of requests.' },
  model_unavailable: { retry: 'later', message: 'The model provider cannot be reached or failed.' },
  model_silent: { retry: 'later', message: 'The model provider sent nothing for too long.' },
  model_cut: { retry: 'later', message: 'The answer of the model provider ended before its end.' },
  model_unauthorized: { retry: 'never', message: 'The model provider refuses the key. Check the key of the server.' },
  model_spend_limit: { retry: 'never', message: 'The account at the model provider has reached its spend limit.' },
  model_bad_request: { retry: 'never', message: 'The model provider refuses the request.' },
  model_not_found: { retry: 'never', message: 'The model provider does not know the model.' },
  context_overflow: { retry: 'never', message: 'The chat is too long for the context window of the model.' },
  nothing_to_compact: { retry: 'never', message: 'Nothing was said since the chat began or was last compacted.' },
  chat_crashed: {
    retry: 'later',
    message: 'The chat failed three times in a minute and sleeps until the next message.',
  },
  prompt_invalid: {
    retry: 'never',
    message: 'The server built a request that model providers would refuse. It was not sent.',
  },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

/** An error on the wire: in replies, in `last_error` and in events. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retry: Retry;
  /** How long to wait at least before trying again, in milliseconds. */
  readonly retry_after_ms?: number;
};

/** The body of a catalogue error; `detail` is appended to its sentence and must be fit for strangers. */
export function errorBody(code: ErrorCode, detail?: string, retryAfterMs?: number): ErrorBody {
  const { retry, message } = ERRORS[code];
  return {
    code,
    message: detail === undefined ? message : `${message} (${detail})`,
    retry,
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }),
  };
}
