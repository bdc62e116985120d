// `--message`: sends one message, prints the reply, leaves.
//
// Standard output gets the text of the reply and nothing else (or the JSON lines). On a terminal it streams; elsewhere a
// step's text is written when it is committed, so that nothing has to be taken back. Everything else is said on standard
// error.
import {
  type ChatHandle,
  type ChatState,
  comparePositions,
  type ParleyClient,
  type Position,
  type TurnEnd,
  type TurnId,
} from '../client/index.ts';
import { unreachable } from '../assert.ts';
import { fitColumns } from './columns.ts';
import { connect, EXIT_INTERRUPTED, explain, Failure, openChat } from './connect.ts';
import type { Action } from './action.ts';
import { writeJsonLines } from './json-lines.ts';
import { declaredTools, localTools } from './local-tools.ts';
import type { Options } from './options.ts';
import { CALL_MARK, Printer } from './printer.ts';
import { messageText } from './message-text.ts';
import { isWhole, opened, type Own, render } from './render.ts';
import type { Style } from './style.ts';
import { watchCalls } from './unattended.ts';
import { describeEnd, describeError, describeLoss, describeRetry, type Line } from './wording.ts';

export type Streams = {
  readonly write: (text: string) => void;
  /** One line for standard error. */
  readonly say: (line: Line) => void;
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly style: Style;
  /** Aborts with a `Failure` as its reason: Ctrl-C, or `--timeout`. */
  readonly signal: AbortSignal;
};

const NOTHING_OWN: Own = { typed: new Set(), tools: new Set(), isPersonThere: false };
/** Of a line that says what the model has called. */
const CALL_COLUMNS = 120;
/** How long Ctrl-C waits for the server to take the stop. */
const STOP_MS = 2_000;

export async function runOneShot(options: Options & { readonly message: string }, streams: Streams): Promise<void> {
  const client = await withSignal(connect(options.target), streams.signal);
  try {
    const declared = options.tools ? declaredTools({ isPersonThere: false }) : [];
    const handle = await withSignal(openChat(client, options, declared), streams.signal);
    const signal = AbortSignal.any([streams.signal, tellConnection(client, streams)]);
    if (options.tools) {
      handle.serve(localTools(null), (fault) => streams.say({ tone: 'error', text: explain(fault) }));
    }
    if (options.json) writeJsonLines(client, handle, streams.write);
    else if (streams.isTerminal) streamReply(handle, streams);
    await exchange(client, handle, options, { ...streams, signal });
  } finally {
    client.close();
  }
}

/** Sends, waits for the end of the turn and reports how it ended; throws a `Failure` unless the reply is complete. */
async function exchange(
  client: ParleyClient,
  handle: ChatHandle,
  options: Options & { readonly message: string },
  streams: Streams,
): Promise<void> {
  const ends = new Map<TurnId, TurnEnd>();
  handle.onEvent(({ event }) => {
    if (event.kind === 'turn' && event.type === 'ended') ends.set(event.turn, event);
    if (event.kind === 'retry' && !streams.isTerminal) streams.say({ tone: 'dim', text: describeRetry(event) });
  });
  const sent = await withSignal(client.send(handle.id, { text: options.message }), streams.signal);
  if (sent.outcome === 'queued') streams.say({ tone: 'dim', text: 'queued behind the turn that runs' });
  const over = handle.until((state) => ends.has(sent.turn) || isOver(state, sent.turn, sent.position));
  const served = new Set(options.tools ? declaredTools({ isPersonThere: false }).map(({ name }) => name) : []);
  const vain = watchCalls(handle, sent.turn, { approve: options.approve, served }, streams.say);
  try {
    await withSignal(over, AbortSignal.any([streams.signal, vain]));
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT_INTERRUPTED) await stop(client, handle, sent.turn);
    throw error;
  }
  const state = await withSignal(
    handle.until(({ messages }) => messages.every(isWhole)),
    streams.signal,
  );
  if (!options.json && !streams.isTerminal) streams.write(replyText(state, sent.turn));
  report(ends.get(sent.turn) ?? null, state, sent.turn);
}

/** The turn is neither running nor waiting any more, although its end was not seen: a snapshot does not show it. */
function isOver(state: ChatState, turn: TurnId, sentAt: Position): boolean {
  if (state.position === null || comparePositions(state.position, sentAt) < 0) return false;
  return state.turn?.turn !== turn && !state.queue.some(({ id }) => (id as string) === turn);
}

function report(end: TurnEnd | null, state: ChatState, turn: TurnId): void {
  if (end !== null) {
    const line = describeEnd(end.outcome, end.error);
    if (line !== null) throw new Failure(line.text);
    return;
  }
  const error = state.chat?.last_error ?? null;
  if (error !== null) throw new Failure(describeError(error));
  const last = state.messages.findLast((message) => message.turn === turn);
  if (last === undefined || last.interrupted === true) throw new Failure('The turn ended without a complete reply.');
}

/** The texts of the turn's messages, ending with a line feed. */
function replyText({ messages }: ChatState, turn: TurnId): string {
  const texts = messages
    .filter((message) => message.turn === turn && message.role === 'assistant')
    .map(messageText)
    .filter((text) => text !== '');
  const text = texts.join('\n\n');
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

/** On a terminal: the text as it comes, everything else as lines on standard error. */
function streamReply(handle: ChatHandle, { write, say, style }: Streams): void {
  const printer = new Printer(style);
  let shown = opened(handle.state);
  /** The call that is being written. */
  let call: string | null = null;
  const show = (action: Action): void => {
    switch (action.kind) {
      case 'line':
        if (action.tone === 'user') return;
        write(printer.endLine());
        // How the turn ended is said once, when all is over.
        if (action.tone !== 'error') say(action);
        return;
      case 'call':
        call = `${CALL_MARK}${action.label} `;
        return;
      case 'begin':
        if (action.block === 'text') write(printer.print([action]));
        return;
      case 'stream':
        if (action.block === 'text') write(printer.print([action]));
        else if (call !== null) call += action.text;
        return;
      case 'end':
        write(printer.print([action]));
        if (call !== null) say({ tone: 'dim', text: fitColumns(call, CALL_COLUMNS) });
        call = null;
        return;
      default:
        return unreachable(action);
    }
  };
  // Which approvals are asked for, and what becomes of them, is said by whoever answers for the person.
  handle.subscribe(() => {
    const rendered = render(shown, handle.state, NOTHING_OWN);
    shown = rendered.shown;
    for (const action of rendered.actions) show(action);
  });
}

/** The signal is aborted when the connection has ended for good. */
function tellConnection(client: ParleyClient, { say }: Streams): AbortSignal {
  const ended = new AbortController();
  let lost = false;
  client.onStatus((status) => {
    if (status.status === 'closed') ended.abort(new Failure(status.reason));
    if (status.status === 'waiting' && !lost) {
      lost = true;
      say({ tone: 'dim', text: describeLoss(status) });
    } else if (status.status === 'live' && lost) {
      lost = false;
      say({ tone: 'dim', text: 'connected again' });
    }
  });
  return ended.signal;
}

/** Best effort: Ctrl-C leaves whether or not the server answers. */
async function stop(client: ParleyClient, handle: ChatHandle, turn: TurnId): Promise<void> {
  await withSignal(client.stop(handle.id, turn), AbortSignal.timeout(STOP_MS)).catch(() => {});
}

/** Rejects with the signal's reason as soon as it is aborted. */
function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
