// One person in one chat after the other: what is typed goes to the node, what happens there goes to the display.
//
// Invariants: exactly one chat is followed and shown; a command that is under way is counted, and the prompt comes back
// when nothing is: no turn runs and no command waits for its reply.
import type {
  ChatHandle,
  ChatId,
  ChatState,
  CommandId,
  ConnectionStatus,
  ParleyClient,
  Sent,
} from '../client/index.ts';
import { explain, Failure } from './connect.ts';
import type { Display, Handlers } from './display.ts';
import { writeJsonLines } from './json-lines.ts';
import type { Action } from './action.ts';
import { opened, render, type Shown, waitingFor } from './render.ts';
import { introduce } from './transcript.ts';
import { parseInput } from './slash.ts';
import type { CommandHost } from './command-host.ts';
import { runCommand } from './session-commands.ts';
import { describeLoss, type Tone } from './wording.ts';

export type SessionOptions = {
  readonly client: ParleyClient;
  /** Attached, its state loaded. */
  readonly handle: ChatHandle;
  readonly display: (handlers: Handlers) => Display;
  /** Where JSON lines go; null for text. */
  readonly writeJson: ((line: string) => void) | null;
  /** The next line is taken up when the turn of the one before is over. */
  readonly oneByOne: boolean;
};

/** Ids of own messages that are remembered, to tell them from those of other devices. */
const TYPED_MAX = 500;

export class Session implements CommandHost {
  /** The ids of the last list, for `/open 2`. */
  listed: readonly ChatId[] = [];
  readonly client: ParleyClient;
  /** Resolves when the person has left; rejects with a `Failure` when the connection has ended for good. */
  readonly ended: Promise<void>;
  readonly #display: Display;
  readonly #options: SessionOptions;
  readonly #typed = new Set<string>();
  #handle: ChatHandle;
  #shown: Shown;
  #unsubscribe: () => void = () => {};
  /** Commands without a reply. */
  #underWay = 0;
  /** Lines that wait for their turn, when they are taken one by one. */
  #lines: Promise<void> = Promise.resolve();
  #lost = false;
  /** Ctrl-C was pressed at an idle prompt, and nothing was typed since. */
  #leaving = false;
  #end: () => void = () => {};
  #fail: (failure: Failure) => void = () => {};

  constructor(options: SessionOptions) {
    this.#options = options;
    this.client = options.client;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    this.#display = options.display({
      onLine: (line) => this.#onLine(line),
      onInterrupt: (typed) => this.#onInterrupt(typed),
      onEnd: () => void this.#lines.then(() => this.#end()),
    });
    this.#handle = options.handle;
    this.#shown = opened(options.handle.state);
    this.client.onStatus((status) => this.#onStatus(status));
    this.follow(options.handle);
  }

  get handle(): ChatHandle {
    return this.#handle;
  }

  /** Shows another chat; it is attached and its state is loaded. */
  follow(handle: ChatHandle): void {
    this.#unsubscribe();
    if (this.#handle !== handle) this.#handle.detach();
    this.#handle = handle;
    this.#shown = opened(handle.state);
    this.#display.print(introduce(handle.state));
    const { writeJson } = this.#options;
    const stops = [
      handle.subscribe(() => this.#show()),
      ...(writeJson === null ? [] : [writeJsonLines(this.client, handle, writeJson)]),
    ];
    this.#unsubscribe = () => {
      for (const stop of stops) stop();
    };
    this.#show();
  }

  print(actions: readonly Action[]): void {
    this.#display.print(actions);
  }

  say(tone: Tone, text: string): void {
    this.#display.print([{ kind: 'line', tone, text }]);
  }

  send(text: string): Promise<void> {
    const { id } = this.#handle;
    return this.ask((command) => this.client.send(id, { text }, { id: command }));
  }

  /** The id of what is asked is remembered before it goes out: its event may come before the reply. */
  async ask(command: (id: CommandId) => Promise<Sent>): Promise<void> {
    const id: CommandId = this.client.newCommandId();
    this.#typed.add(id);
    for (const old of this.#typed) {
      if (this.#typed.size <= TYPED_MAX) break;
      this.#typed.delete(old);
    }
    const handle = this.#handle;
    const sent = await command(id);
    await handle.reached(sent.position);
    if (!this.#options.oneByOne) return;
    await handle.until(
      (state) => state.turn?.turn !== sent.turn && !state.queue.some((one) => (one.id as string) === sent.turn),
    );
  }

  /** Leaves; a turn that runs goes on. */
  quit(): void {
    const { turn, chat } = this.#handle.state;
    if (turn !== null && chat !== null) {
      this.say('dim', `the turn goes on; come back with: npm run chat -- --chat ${chat.id}`);
    }
    this.#end();
  }

  close(): void {
    this.#unsubscribe();
    this.#display.close();
  }

  // --------------------------------------------------------------------------------------------------- inside

  #onLine(line: string): void {
    this.#leaving = false;
    if (this.#options.oneByOne) this.#lines = this.#lines.then(() => this.#take(line));
    else void this.#take(line);
  }

  async #take(line: string): Promise<void> {
    this.#underWay += 1;
    this.#settle();
    try {
      await runCommand(this, parseInput(line));
    } catch (error) {
      this.say('error', explain(error));
    } finally {
      this.#underWay -= 1;
      this.#settle();
    }
  }

  #onInterrupt(typed: boolean): void {
    if (typed) return;
    if (this.#handle.state.turn !== null) {
      void this.#take('/stop');
    } else if (this.#leaving) {
      this.quit();
    } else {
      this.#leaving = true;
      this.say('dim', 'Ctrl-C again, or /quit, to leave');
    }
  }

  #show(): void {
    const { state, attachment } = this.#handle;
    if (state.chat !== null) {
      const { shown, actions } = render(this.#shown, state, this.#typed);
      this.#shown = shown;
      this.#display.print(actions);
    }
    if (attachment.status === 'gone')
      this.say('error', 'This chat is gone, or it is not yours any more. /list shows the others.');
    if (attachment.status === 'refused') this.say('error', attachment.error.message);
    this.#settle();
  }

  #onStatus(status: ConnectionStatus): void {
    if (status.status === 'closed') {
      this.#fail(new Failure(status.reason));
    } else if (status.status === 'waiting' && !this.#lost) {
      this.#lost = true;
      this.say('dim', describeLoss(status));
    } else if (status.status === 'live' && this.#lost) {
      this.#lost = false;
      this.say('dim', 'connected again');
    }
    this.#settle();
  }

  /** Prompt and spinner as the moment wants them. */
  #settle(): void {
    const { state } = this.#handle;
    const waiting = this.#waitingFor(state);
    this.#display.wait(waiting);
    if (state.turn === null && this.#underWay === 0) this.#display.prompt();
    else this.#display.unprompt();
  }

  #waitingFor(state: ChatState): string | null {
    if (this.#lost) return 'reconnecting';
    return waitingFor(state) ?? (this.#underWay > 0 && state.turn === null ? 'waiting for the node' : null);
  }
}
