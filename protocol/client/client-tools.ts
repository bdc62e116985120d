// Tools that run in a client: a function for each, and the answers sent by themselves.
//
// A call that waits for this client begins once per client, whatever the connection does meanwhile: what runs is known by
// its turn, step and call for as long as the chat's state shows that call waiting. Its answer is a command and so takes
// effect once. Of several devices that run the same call the first answer counts, and the others are told by their signal
// that nobody waits any more. Bounded by the calls that wait in the state: what is no longer there is forgotten.

import type { Action } from '../content.ts';
import type { ChatId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { cleanText, sliceUtf8 } from '../text.ts';
import type { ChatState } from './chat-state.ts';
import { ClientError, CommandError } from './errors.ts';
import type { ToolAnswer, ToolDeclaration } from './tool-calls.ts';

/** A tool as its client writes it. */
export type ClientTool = ToolDeclaration & {
  /**
   * Gives the output for the model; what it throws is an error that the model reads. After a restart of the client, and on
   * each device that serves the tool, the same call may be run again: `context.call` says which one it is.
   */
  readonly run: (args: Readonly<Record<string, unknown>>, context: ToolContext) => string | Promise<string>;
};

export type ToolContext = {
  readonly chat: ChatId;
  /** The id of the call, the same on every device. */
  readonly call: string;
  /** Unix ms by the server's clock; then the call times out. */
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the output any more: it was given elsewhere, is too late, or the turn was stopped. */
  readonly signal: AbortSignal;
};

/** What serving needs of a chat. */
export type ServedChat = {
  readonly id: ChatId;
  readonly state: ChatState;
  subscribe(listener: () => void): () => void;
  toolResult(answer: ToolAnswer): Promise<unknown>;
};

/**
 * Runs the tools for the chat while it is attached, until the function returned is called. An answer that the server does
 * not take goes to `onFault`; that somebody else was first is no fault.
 */
export function serveTools(
  chat: ServedChat,
  tools: readonly ClientTool[],
  onFault: (error: unknown) => void = () => {},
): () => void {
  const server = new ToolServer(chat, tools, onFault);
  const unsubscribe = chat.subscribe(() => server.look());
  server.look();
  return () => {
    unsubscribe();
    server.stop();
  };
}

class ToolServer {
  readonly #chat: ServedChat;
  readonly #tools: ReadonlyMap<string, ClientTool>;
  readonly #onFault: (error: unknown) => void;
  /** Calls that were begun, by turn, step and call, until the state shows that they do not wait any more. */
  readonly #begun = new Map<string, AbortController>();

  constructor(chat: ServedChat, tools: readonly ClientTool[], onFault: (error: unknown) => void) {
    this.#chat = chat;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#onFault = onFault;
  }

  /** Begins what waits and was not begun, gives up what does not wait any more. */
  look(): void {
    const waiting = this.#waiting();
    for (const [key, controller] of this.#begun) {
      if (waiting.has(key)) continue;
      this.#begun.delete(key);
      controller.abort();
    }
    for (const [key, { action, tool }] of waiting) {
      if (this.#begun.has(key)) continue;
      const controller = new AbortController();
      this.#begun.set(key, controller);
      void this.#answer(action, tool, controller.signal);
    }
  }

  stop(): void {
    for (const controller of this.#begun.values()) controller.abort();
    this.#begun.clear();
  }

  #waiting(): Map<string, { readonly action: Action; readonly tool: ClientTool }> {
    const { turn } = this.#chat.state;
    const waiting = new Map<string, { readonly action: Action; readonly tool: ClientTool }>();
    for (const action of turn?.actions ?? []) {
      const tool = this.#tools.get(action.name);
      // Ids are the provider's, and some providers count anew in each step.
      if (action.type === 'result' && tool !== undefined && turn !== null) {
        waiting.set(JSON.stringify([turn.turn, turn.step, action.call]), { action, tool });
      }
    }
    return waiting;
  }

  async #answer(action: Action, tool: ClientTool, signal: AbortSignal): Promise<void> {
    const { call, deadline_at: deadlineMs } = action;
    const answer = await run(action, tool, { chat: this.#chat.id, call, deadlineMs, signal });
    if (signal.aborted) return;
    try {
      await this.#chat.toolResult(answer);
    } catch (error) {
      if (!isExpected(error)) this.#onFault(error);
    }
  }
}

/** Never rejects: what goes wrong is what the model reads. */
async function run(action: Action, tool: ClientTool, context: ToolContext): Promise<ToolAnswer> {
  const { call } = action;
  try {
    return { call, output: fitting(await tool.run(parseArguments(action.args), context)) };
  } catch (error) {
    const output = fitting(error instanceof Error ? error.message : String(error));
    return { call, output, isError: true };
  }
}

function parseArguments(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = text === '' ? {} : JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('The arguments are not a JSON object.');
  }
  return value as Readonly<Record<string, unknown>>;
}

/** What a frame can carry of an output; the server, which keeps less of it, marks that it was cut. */
function fitting(output: string): string {
  return sliceUtf8(cleanText(output), 0, LIMITS.scannedStringBytes).text;
}

/** Somebody else was first, or this client is closed and has nobody to tell. */
function isExpected(error: unknown): boolean {
  if (error instanceof CommandError) return error.code === 'not_waiting';
  return error instanceof ClientError && error.kind === 'closed';
}
