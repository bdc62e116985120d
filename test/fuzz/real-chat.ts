// One sequence on a node: a chat on two devices, whose owner does as the acts say, while the node may be killed.

import { isDeepStrictEqual } from 'node:util';
import { must } from '../../protocol/assert.ts';
import {
  ClientError,
  CommandError,
  type Action,
  type ChatHandle,
  type ChatState,
  type ParleyClient,
} from '../../protocol/client/index.ts';
import { DIRECTIVES, type RealAct, type RealActName } from './real-acts.ts';
import type { Tally } from './tally.ts';
import { CLIENT_TOOL } from './tools.ts';

/** Prompts as long as real ones: what is shorter than the caches' minimum is not cached. */
const SYSTEM = 'You are a careful assistant. '.repeat(200);
const ENDINGS_MAX = 20;

/** Of a text of a user: in the chat, not in it, or nobody knows. */
type Fate = 'there' | 'gone' | 'open';

export class RealChat {
  readonly #devices: readonly [ChatHandle, ChatHandle];
  readonly #clients: readonly [ParleyClient, ParleyClient];
  readonly #models: readonly string[];
  readonly #tally: Tally;
  readonly #texts = new Map<string, Fate>();
  #said = 0;

  private constructor(clients: readonly [ParleyClient, ParleyClient], id: ChatHandle['id'], parts: Parts) {
    this.#clients = clients;
    this.#devices = [clients[0].chat(id), clients[1].chat(id)];
    this.#models = parts.models;
    this.#tally = parts.tally;
  }

  static async begin(clients: readonly [ParleyClient, ParleyClient], parts: Parts): Promise<RealChat> {
    const tools = [{ ...CLIENT_TOOL, schema: { type: 'object' } }];
    const { id } = await clients[0].createChat({
      systemPrompt: SYSTEM,
      tools,
      model: must(parts.models[0], 'a model'),
    });
    const chat = new RealChat(clients, id, parts);
    for (const device of chat.#devices) device.attach();
    await Promise.all(chat.#devices.map((device) => device.until(({ position }) => position !== null)));
    return chat;
  }

  get id(): ChatHandle['id'] {
    return this.#device.id;
  }

  get #device(): ChatHandle {
    return this.#devices[0];
  }

  get state(): ChatState {
    return this.#device.state;
  }

  async act({ what, pick }: RealAct): Promise<void> {
    this.#tally.count('acts', what);
    await this.#does[what](pick);
  }

  readonly #does: { readonly [name in RealActName]: (pick: number) => Promise<unknown> } = {
    send: (pick) => this.#send(pick, 'queue'),
    interrupt: (pick) => this.#send(pick, 'interrupt'),
    steer: (pick) => this.#send(pick, 'steer'),
    reject: (pick) => this.#send(pick, 'reject'),
    edit: (pick) => this.#edit(pick),
    retry: () => this.#ask(() => this.#device.retry()),
    clear: () => this.#ask(() => this.#device.clear()),
    model: (pick) => this.#ask(() => this.#device.setModel(must(this.#models[pick % 2], 'two models'))),
    fork: (pick) => this.#fork(pick),
    hold: (pick) => this.#onWaiting(pick, ({ id }) => this.#device.changeQueue({ hold: id })),
    release: (pick) => this.#onWaiting(pick, ({ id }) => this.#device.changeQueue({ release: id })),
    rewrite: (pick) => this.#rewrite(pick),
    reorder: () =>
      this.#ask(() => this.#device.changeQueue({ order: this.state.queue.map(({ id }) => id).toReversed() })),
    promote: (pick) => this.#onWaiting(pick, ({ id }) => this.#device.promote(id)),
    delete: (pick) => this.#delete(pick),
    stop: () => this.#ask(() => this.#device.stop()),
    compact: () => this.#ask(() => this.#device.compact()),
    approve: (pick) => this.#onAction('approval', pick, (action) => this.#device.approve(action)),
    always: (pick) => this.#onAction('approval', pick, (action) => this.#device.approve(action, { always: true })),
    deny: (pick) => this.#onAction('approval', pick, (action) => this.#device.deny(action)),
    misapprove: (pick) =>
      this.#onAction('approval', pick, (action) => this.#device.approve({ ...action, hash: 'another' })),
    result: (pick) => this.#result(pick, false),
    failedResult: (pick) => this.#result(pick, true),
    twoDevices: (pick) => this.#twoDevices(pick),
    late: (pick) => this.#late(pick),
    wait: (pick) => this.#wait(pick),
    // Of the node: it is killed beside the acts of the other chats.
    crash: () => Promise.resolve(),
  };

  // ---------------------------------------------------------------------------------------------------- people

  /** True: it was answered with ok; false: it was refused; null: nobody knows. */
  async #ask(command: () => Promise<unknown>): Promise<boolean | null> {
    try {
      await command();
      this.#tally.count('replies', 'ok');
      return true;
    } catch (error) {
      if (error instanceof ClientError) throw error;
      if (!(error instanceof CommandError)) throw error;
      this.#tally.count('replies', error.code);
      if (error.code === 'internal') throw error;
      return error.code === 'unknown_outcome' ? null : false;
    }
  }

  #text(pick: number): { readonly name: string; readonly text: string } {
    const name = `<text ${++this.#said}>`;
    // The model servers tell messages apart by their text.
    return { name, text: `${this.id} ${name}\nfake: ${must(DIRECTIVES[pick % DIRECTIVES.length], 'a directive')}` };
  }

  async #send(pick: number, busy: 'queue' | 'interrupt' | 'steer' | 'reject'): Promise<void> {
    const { name, text } = this.#text(pick);
    this.#settle(name, await this.#ask(() => this.#device.send({ text, busy })));
  }

  #settle(name: string, ok: boolean | null): void {
    this.#texts.set(name, ok === null ? 'open' : ok ? 'there' : 'gone');
  }

  /** What was before may have left the chat. */
  #release(): void {
    for (const [text, fate] of this.#texts) if (fate === 'there') this.#texts.set(text, 'open');
  }

  async #edit(pick: number): Promise<void> {
    const { name, text } = this.#text(pick);
    const asked = this.state.messages.filter(({ role }) => role === 'user');
    const number = asked[pick % Math.max(1, asked.length)]?.number ?? 1;
    const ok = await this.#ask(() => this.#device.edit({ number, text }));
    if (ok !== false) this.#release();
    this.#settle(name, ok);
  }

  async #rewrite(pick: number): Promise<void> {
    const { name, text } = this.#text(pick);
    await this.#onWaiting(pick, async ({ id }) => {
      await this.#device.changeQueue({ release: id, text });
      this.#release();
      this.#texts.set(name, 'open');
    });
  }

  async #delete(pick: number): Promise<void> {
    await this.#onWaiting(pick, async ({ id }) => {
      this.#release();
      await this.#device.changeQueue({ remove: id });
    });
  }

  async #fork(pick: number): Promise<void> {
    const { messages } = this.state;
    const number = messages[pick % Math.max(1, messages.length)]?.number ?? 1;
    await this.#ask(async () => {
      const { chat } = await this.#device.fork({ number });
      // Its first request is one that a provider takes, wherever it was cut.
      const aside = this.#clients[1].chat(chat.id);
      aside.attach();
      const { turn } = await aside.send({ text: `${chat.id} aside\nfake: tokens=2` });
      const { lastTurn } = await aside.until((state) => state.lastTurn?.turn === turn);
      if (lastTurn?.outcome !== 'completed') throw new Error(`[P12] a fork: ${JSON.stringify(lastTurn)}`);
      aside.detach();
    });
  }

  async #onWaiting(pick: number, act: (item: ChatState['queue'][number]) => Promise<unknown>): Promise<unknown> {
    const { queue } = this.state;
    const item = queue[pick % Math.max(1, queue.length)];
    return item === undefined ? undefined : this.#ask(() => act(item));
  }

  // ----------------------------------------------------------------------------------------------------- calls

  #action(type: Action['type'], pick: number): Action | undefined {
    const actions = this.#device.actions.filter((action) => action.type === type);
    return actions[pick % Math.max(1, actions.length)];
  }

  async #onAction(type: Action['type'], pick: number, answer: (action: Action) => Promise<unknown>): Promise<unknown> {
    const action = this.#action(type, pick);
    return action === undefined ? undefined : this.#ask(() => answer(action));
  }

  #result(pick: number, isError: boolean): Promise<unknown> {
    return this.#onAction('result', pick, ({ call }) => this.#device.toolResult({ call, output: 'red', isError }));
  }

  /** Both at once: one of them counts, unless the call was settled before. */
  async #twoDevices(pick: number): Promise<void> {
    const action = this.#device.actions[pick % Math.max(1, this.#device.actions.length)];
    if (action === undefined) return;
    const answer = (device: ChatHandle, allow: boolean) => () =>
      action.type === 'result'
        ? device.toolResult({ call: action.call, output: String(allow) })
        : allow
          ? device.approve(action)
          : device.deny(action);
    const answers = await Promise.all(this.#devices.map((device, i) => this.#ask(answer(device, i === 0))));
    if (answers.filter((ok) => ok === true).length > 1) throw new Error(`[P7] two answers to ${action.call} counted`);
  }

  async #late(pick: number): Promise<void> {
    const settled = (this.state.turn?.calls ?? []).filter(({ status }) => status !== null);
    const call = settled[pick % Math.max(1, settled.length)];
    if (call === undefined) return;
    const ok = await this.#ask(() => this.#device.toolResult({ call: call.call, output: 'too late' }));
    if (ok === true) throw new Error(`[P7] a result for ${call.call} was taken after it was settled`);
  }

  /** Until something is shown, somebody is asked, or nothing runs. */
  #wait(pick: number): Promise<unknown> {
    return this.#device.until(
      ({ turn }) =>
        turn === null ||
        turn.actions.length > 0 ||
        (pick % 2 === 0 && (turn.blocks.length > 0 || turn.calls.length > 0 || turn.retry !== null)),
    );
  }

  // ------------------------------------------------------------------------------------------------------- end

  /** Nothing is stuck: what waits is let go, a message that interrupts is answered, and so is all of the queue. */
  async end(): Promise<void> {
    let asked: string | null = null;
    for (let i = 0; asked === null || this.state.queue.length > 0; i++) {
      if (i > ENDINGS_MAX) throw new Error('[P12] the queue does not come to its end');
      for (const { id } of this.state.queue) await this.#ask(() => this.#device.changeQueue({ release: id }));
      const { name, text } = this.#text(0);
      let turn: string | null = null;
      const ok = await this.#ask(async () => {
        const sent = await this.#device.send({ text, busy: asked === null ? 'interrupt' : 'queue' });
        ({ turn } = sent);
        await this.#device.reached(sent.position);
      });
      this.#settle(name, ok);
      asked = turn ?? asked;
      await this.#device.until((state) => state.turn === null);
    }
    const { lastTurn } = this.state;
    if (lastTurn?.outcome !== 'completed') throw new Error(`[P12] the last message: ${JSON.stringify(lastTurn)}`);
  }

  /** After `end`: all devices show one chat, every call in it has its result, every text is there once. */
  async check(fresh: ParleyClient): Promise<void> {
    const anew = fresh.chat(this.id);
    anew.attach();
    const { position } = this.state;
    const isThere = (state: ChatState): boolean => isDeepStrictEqual(state.position, position);
    await Promise.all([this.#devices[1].until(isThere), anew.until(isThere)]);
    for (const device of [this.#devices[1], anew]) {
      const difference = KEYS.find((key) => !isDeepStrictEqual(device.state[key], this.state[key]));
      if (difference !== undefined) throw new Error(`[P2] devices do not agree on ${difference}`);
    }
    this.#tally.compared += 2;
    this.#checkCalls();
    this.#checkTexts();
    for (const device of [...this.#devices, anew]) device.detach();
  }

  #checkCalls(): void {
    const parts = this.state.messages.flatMap((message) => message.parts);
    const calls = parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
    const results = parts.flatMap((part) => (part.type === 'tool_result' ? [part.call] : []));
    if (!isDeepStrictEqual(calls.toSorted(), results.toSorted())) {
      throw new Error(`[P7] calls ${JSON.stringify(calls)}, results ${JSON.stringify(results)}`);
    }
    for (const part of parts) if (part.type === 'tool_result') this.#tally.count('calls', part.status);
  }

  #checkTexts(): void {
    const shown = this.state.messages.map(({ parts }) =>
      parts.map((part) => ('text' in part ? part.text : '')).join(''),
    );
    for (const [text, fate] of this.#texts) {
      const found = shown.filter((one) => one.includes(`${text}\n`)).length;
      if (found > 1 || (fate === 'there' && found === 0) || (fate === 'gone' && found > 0)) {
        throw new Error(`[P3] ${text}, which is ${fate}, is in the chat ${found} times`);
      }
      this.#tally.texts += 1;
    }
  }
}

const KEYS = ['chat', 'messages', 'queue', 'turn', 'lastTurn'] as const satisfies readonly (keyof ChatState)[];

type Parts = { readonly models: readonly string[]; readonly tally: Tally };
