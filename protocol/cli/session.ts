// One person in one chat after the other: what is typed goes to the node, what happens there goes to the display.
//
// Invariants: exactly one chat is followed and shown; a command that is under way is counted, and the prompt comes back
// when nothing is: no turn runs and no command waits for its reply.
import type {
  Busy,
  Chat,
  ChatEvent,
  ChatHandle,
  ChatId,
  ChatState,
  ClientTool,
  CommandId,
  ConnectionStatus,
  ParleyClient,
  Sent,
} from '../client/index.ts';
import { explain, Failure, newChat } from './connect.ts';
import type { Display, Handlers } from './display.ts';
import { writeJsonLines } from './json-lines.ts';
import type { Action } from './action.ts';
import { opened, render, type Shown, waitingFor } from './render.ts';
import { introduce } from './transcript.ts';
import { parseInput } from './slash.ts';
import type { CommandHost } from './command-host.ts';
import { type Ask, localTools } from './local-tools.ts';
import { Questions } from './questions.ts';
import { asksForApproval } from './render-tools.ts';
import { sanitize, sanitizeLine } from './sanitize.ts';
import { runCommand } from './session-commands.ts';
import { describeCompaction, describeFork, describeLoss, type Tone } from './wording.ts';

export type SessionOptions = {
  readonly client: ParleyClient;
  /** Attached, its state loaded. */
  readonly handle: ChatHandle;
  readonly display: (handlers: Handlers) => Display;
  /** Where JSON lines go; null for text. */
  readonly writeJson: ((line: string) => void) | null;
  /** The next line is taken up when the turn of the one before is over. */
  readonly oneByOne: boolean;
  /** Offers tools of this terminal's to the model. */
  readonly offersTools: boolean;
};

/** Ids of own messages that are remembered, to tell them from those of other devices. */
const TYPED_MAX = 500;
/** Of a question of the model's. */
const QUESTION_CHARS_MAX = 2_000;

export class Session implements CommandHost {
  /** The ids of the last list, for `/open 2`. */
  listed: readonly ChatId[] = [];
  readonly client: ParleyClient;
  /** Resolves when the person has left; rejects with a `Failure` when the connection has ended for good. */
  readonly ended: Promise<void>;
  readonly #display: Display;
  readonly #options: SessionOptions;
  readonly questions = new Questions(
    (text) => this.#askPerson(text),
    (text) => this.#dropQuestion(text),
  );
  readonly #tools: readonly ClientTool[];
  readonly #served: ReadonlySet<string>;
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
      onEnd: () => void this.#lines.then(() => this.#onEnd()),
    });
    const ask: Ask = (question, signal) => this.questions.ask(question, signal);
    this.#tools = options.offersTools ? localTools(ask) : [];
    this.#served = new Set(this.#tools.map(({ name }) => name));
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
      handle.onEvent(({ event }) => this.#onEvent(event)),
      ...(writeJson === null ? [] : [writeJsonLines(this.client, handle, writeJson)]),
    ];
    this.#unsubscribe = () => {
      for (const stop of stops) stop();
    };
    this.#show();
    // Behind what is shown, so that a call stands above its question.
    if (this.#tools.length > 0) stops.push(handle.serve(this.#tools, (fault) => this.say('error', explain(fault))));
  }

  print(actions: readonly Action[]): void {
    this.#display.print(actions);
  }

  say(tone: Tone, text: string): void {
    this.#display.print([{ kind: 'line', tone, text }]);
  }

  create(title: string | null): Promise<Chat> {
    return this.client.createChat(newChat({ title, tools: this.#tools }));
  }

  send(text: string, busy: Busy = 'queue'): Promise<void> {
    const { id } = this.#handle;
    return this.ask((command) => this.client.send(id, { text, busy }, { id: command }));
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
      (state) =>
        this.#asksPerson(state) ||
        (state.turn?.turn !== sent.turn && !state.queue.some((one) => (one.id as string) === sent.turn)),
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
    if (this.#options.oneByOne) this.#lines = this.#lines.then(() => this.#rest()).then(() => this.#take(line));
    else void this.#take(line);
  }

  /** Waits for what the line before has begun, unless the person is asked something meanwhile. */
  async #rest(): Promise<void> {
    const rests = (state: ChatState): boolean => state.turn === null || this.#asksPerson(state);
    await this.#handle.until(rests).catch(() => undefined);
  }

  async #onEnd(): Promise<void> {
    if (!this.#options.oneByOne) return this.#end();
    await this.#rest();
    this.quit();
  }

  #asksPerson(state: ChatState): boolean {
    return this.questions.areOpen || asksForApproval(state.turn);
  }

  #askPerson(question: string): void {
    this.say('note', `? ${sanitize(question.slice(0, QUESTION_CHARS_MAX))}`);
    this.say('dim', '  your next line is the answer · /deny leaves it unanswered');
    this.#settle();
  }

  #dropQuestion(question: string): void {
    this.say('dim', `not asked any more: ${sanitizeLine(question.slice(0, QUESTION_CHARS_MAX))}`);
    this.#settle();
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
      const { shown, actions } = render(this.#shown, state, {
        typed: this.#typed,
        tools: this.#served,
        isPersonThere: true,
      });
      this.#shown = shown;
      this.#display.print(actions);
    }
    if (attachment.status === 'gone')
      this.say('error', 'This chat is gone, or it is not yours any more. /list shows the others.');
    if (attachment.status === 'refused') this.say('error', attachment.error.message);
    this.#settle();
  }

  /** What leaves no trace in the state. */
  #onEvent(event: ChatEvent): void {
    const text = event.kind === 'fork' ? describeFork(event.reason) : null;
    if (text !== null) this.say('dim', text);
    const line = event.kind === 'compaction' ? describeCompaction(event) : null;
    if (line !== null) this.say(line.tone, line.text);
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
    const waiting = this.questions.areOpen ? null : this.#waitingFor(state);
    this.#display.wait(waiting);
    if ((state.turn === null || this.#asksPerson(state)) && this.#underWay === 0) this.#display.prompt();
    else this.#display.unprompt();
  }

  #waitingFor(state: ChatState): string | null {
    if (this.#lost) return 'reconnecting';
    return waitingFor(state) ?? (this.#underWay > 0 && state.turn === null ? 'waiting for the node' : null);
  }
}
