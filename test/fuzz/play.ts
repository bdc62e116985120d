// One sequence of acts on the real host, actors and machine: simulated time, the store in memory, the model by hand.

import { must } from '../../protocol/assert.ts';
import type { Busy } from '../../protocol/content.ts';
import { uuidFromBytes, uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { CallRow } from '../../actors/tool-ports.ts';
import { HOST_DEFAULTS } from '../../actors/host/settings.ts';
import { CHAT_DEFAULTS } from '../../actors/chat/settings.ts';
import { QUIET, Stage, type Answer, type PlayedAttempt } from '../actors/stage.ts';
import type { Act, ActName } from './acts.ts';
import { checkRow, checkScene } from './checks.ts';
import { Mouth } from './mouth.ts';
import type { Plant } from './plants.ts';
import { FuzzProviders } from './providers.ts';
import { FuzzScene, type Spoken } from './scene.ts';
import type { Tally } from './tally.ts';
import { CLIENT_TOOL, FUZZ_TOOLS } from './tools.ts';

/** Prompts as long as real ones: what is shorter than the caches' minimum is not cached. */
const SYSTEM = 'You are a careful assistant. '.repeat(200);
const WINDOW_TOKENS = 20_000;
/** What a chat that has to be compacted before its next request has held. */
const FULL_TOKENS = 16_000;
const WAITS_MS = [50, 400, 2_500, 9_000, 70_000, LIMITS.queueHoldMs, CHAT_DEFAULTS.clientDeadlineMs, 31 * 60_000];
/** Longer than anything waits. */
const ABSENCE_MS = 40 * 60_000;
/** Longer than tools and retries take, shorter than people do. */
const SILENCE_MS = 120_000;
/** Answers until everything that waits is over; a chat that needs more goes in circles. */
const ENDINGS_MAX = 200;

export class FuzzPlay {
  readonly #tally: Tally;
  readonly #plant: Plant;
  readonly #providers = new FuzzProviders();
  readonly #mouth = new Mouth();
  readonly #scenes: FuzzScene[] = [];
  #stage: Stage;
  #focus = 0;
  /** Requests of nodes that were given up for dead and may not be. */
  readonly #ghosts: PlayedAttempt[] = [];
  #said = 0;

  static async perform(acts: readonly Act[], tally: Tally, plant: Plant = {}): Promise<void> {
    const undo = plant.patch?.();
    try {
      const play = new FuzzPlay(tally, plant);
      await play.#open(await play.#stage.create(undefined, { system_prompt: SYSTEM, tools: [CLIENT_TOOL] }));
      await play.#act({ what: 'send', pick: 0 });
      for (const act of acts) await play.#act(act);
      for (const scene of play.#scenes) await play.#end(scene);
      tally.sequences += 1;
      play.#keepBooks();
    } finally {
      undo?.();
    }
  }

  private constructor(tally: Tally, plant: Plant) {
    this.#tally = tally;
    this.#plant = plant;
    this.#stage = this.#newStage();
  }

  #newStage(tables?: Stage['tables']): Stage {
    const stage = new Stage(tables, this.#plant.store, QUIET, {
      tools: FUZZ_TOOLS,
      settings: { silenceTimeoutMs: SILENCE_MS },
    });
    stage.contextWindow = WINDOW_TOKENS;
    stage.titleModel = 'n';
    return stage;
  }

  async #open(chat: ChatId): Promise<void> {
    this.#scenes.push(new FuzzScene(this.#stage, chat, { tally: this.#tally, providers: this.#providers }));
    this.#focus = this.#scenes.length - 1;
    await this.#follow();
  }

  get #scene(): FuzzScene {
    return must(this.#scenes[this.#focus], 'there is a chat');
  }

  async #act(act: Act): Promise<void> {
    this.#tally.count('acts', act.what);
    await this.#does[act.what](act.pick);
    await this.#stage.settle();
    await this.#follow();
    for (const scene of this.#scenes) checkRow(scene.row, this.#stage.clock.nowMs());
  }

  readonly #does: { readonly [name in ActName]: (pick: number) => Promise<unknown> } = {
    send: () => this.#send('queue'),
    interrupt: () => this.#send('interrupt'),
    steer: () => this.#send('steer'),
    reject: () => this.#send('reject'),
    edit: (pick) => this.#edit(pick),
    retry: () => this.#ask('chat.retry'),
    clear: () => this.#ask('chat.clear'),
    model: (pick) => this.#ask('chat.set_model', { model: pick % 2 === 0 ? 'm' : 'n' }),
    fork: (pick) => this.#fork(pick),
    switch: async (pick) => void (this.#focus = pick % this.#scenes.length),
    hold: (pick) => this.#ask('queue.edit', { id: this.#waiting(pick).id, hold: true }),
    release: (pick) => this.#ask('queue.edit', { id: this.#waiting(pick).id, hold: false }),
    rewrite: (pick) => this.#rewrite(pick),
    reorder: (pick) => this.#reorder(pick),
    promote: (pick) => this.#ask('queue.promote', { id: this.#waiting(pick).id }),
    delete: (pick) => this.#delete(pick),
    stop: () => this.#ask('chat.stop', { turn: uuidToBytes(this.#scene.row.turn?.id ?? this.#scene.chat) }),
    compact: () => this.#ask('chat.compact'),
    approve: (pick) => this.#approve(pick, { allow: true }),
    always: (pick) => this.#approve(pick, { allow: true, always: true }),
    deny: (pick) => this.#approve(pick, { allow: false }),
    misapprove: (pick) => this.#approve(pick, { allow: true, hash: 'another' }),
    result: (pick) => this.#result(pick, false),
    failedResult: (pick) => this.#result(pick, true),
    twoDevices: (pick) => this.#twoDevices(pick),
    late: (pick) => this.#late(pick),
    stream: async () => this.#with((spoken) => this.#mouth.stream(spoken)),
    complete: async () => this.#with((spoken) => this.#mouth.complete(spoken, this.#providers)),
    fill: async () => this.#with((spoken) => this.#mouth.complete(spoken, this.#providers, FULL_TOKENS)),
    call: async (pick) => this.#with((spoken) => this.#mouth.call(spoken, pick, this.#providers)),
    cutCall: async (pick) => this.#with((spoken) => this.#mouth.cutCall(spoken, pick)),
    refuse: async () => this.#with((spoken) => this.#mouth.refuse(spoken)),
    fail: async () => this.#with((spoken) => this.#mouth.fail(spoken, 'overloaded')),
    failForGood: async () => this.#with((spoken) => this.#mouth.fail(spoken, 'unauthorized')),
    overflow: async () => this.#with((spoken) => this.#mouth.fail(spoken, 'context_overflow')),
    rejectReasoning: async () => this.#with((spoken) => this.#mouth.fail(spoken, 'reasoning_rejected')),
    breakAdapter: async () => this.#with((spoken) => this.#mouth.crash(spoken)),
    nameChat: async (pick) => this.#nameChat(pick),
    wait: (pick) => this.#stage.clock.runFor(must(WAITS_MS[pick % WAITS_MS.length], 'a wait')),
    look: () => this.#scene.look(),
    crash: (pick) => this.#crash(pick % 3 === 0 ? ABSENCE_MS : 0),
    shutDown: (pick) => this.#shutDown(pick),
    ghost: async () => this.#ghosts.pop()?.complete(),
    crashUnderWay: (pick) => this.#crashUnderWay(pick),
  };

  // ---------------------------------------------------------------------------------------------------- people

  async #ask(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    const answer = await this.#stage.command(name, { chat: uuidToBytes(this.#scene.chat), ...args });
    const code = answer.ok ? 'ok' : String((answer.body as { readonly code: unknown }).code);
    this.#tally.count('replies', code);
    if (code === 'internal') throw new Error(`${name} was answered with an error of the server's own`);
    return answer;
  }

  async #send(busy: Busy): Promise<void> {
    const { name, content } = this.#text();
    this.#scene.texts.set(name, 'open');
    const { ok } = await this.#ask('chat.send', { content, busy });
    this.#scene.texts.set(name, ok ? 'there' : 'gone');
  }

  async #edit(pick: number): Promise<void> {
    const { name, content } = this.#text();
    const open = this.#scene.spoken.filter(({ attempt }) => this.#scene.outcomeOf(attempt) === null);
    const { ok } = await this.#ask('chat.edit', { content, number: 1 + (pick % this.#scene.row.nextNumber) });
    this.#scene.texts.set(name, ok ? 'there' : 'gone');
    if (ok) for (const spoken of open) spoken.isReplaced = true;
  }

  async #rewrite(pick: number): Promise<void> {
    const { name, content } = this.#text();
    const { id, text } = this.#waiting(pick);
    const { ok } = await this.#ask('queue.edit', { id, content });
    this.#scene.texts.set(name, ok ? 'there' : 'gone');
    if (ok) this.#scene.texts.set(text, 'gone');
  }

  async #delete(pick: number): Promise<void> {
    const { id, text } = this.#waiting(pick);
    const { ok } = await this.#ask('queue.delete', { id });
    if (ok) this.#scene.texts.set(text, 'gone');
  }

  #reorder(pick: number): Promise<Answer> {
    const ids = this.#scene.row.queue.map(({ id }) => uuidToBytes(id));
    return this.#ask('queue.reorder', { ids: pick % 2 === 0 ? ids.toReversed() : ids.slice(1) });
  }

  async #fork(pick: number): Promise<void> {
    const answer = await this.#ask('chat.fork', { number: 1 + (pick % this.#scene.row.nextNumber) });
    if (!answer.ok) return;
    const { chat } = answer.body as { readonly chat: { readonly id: Uint8Array } };
    await this.#open(must(uuidFromBytes<ChatId>(chat.id), 'a chat has an id of 16 bytes'));
  }

  /** A message that waits, and its text; an id that is none when nothing waits. */
  #waiting(pick: number): { readonly id: Uint8Array; readonly text: string } {
    const { queue } = this.#scene.row;
    const item = queue[pick % Math.max(1, queue.length)];
    if (item === undefined) return { id: new Uint8Array(16).fill(7), text: '' };
    return { id: uuidToBytes(item.id), text: item.parts[0]?.text ?? '' };
  }

  #text(): { readonly name: string; readonly content: readonly unknown[] } {
    const name = `<text ${++this.#said}>`;
    return { name, content: [{ type: 'text', text: name }] };
  }

  // ----------------------------------------------------------------------------------------------------- calls

  #approve(pick: number, answer: { allow: boolean; always?: boolean; hash?: string }): Promise<Answer> {
    const { call, hash } = this.#waitingCall('approval', pick);
    return this.#ask('tool.approve', { call, hash, always: false, ...answer });
  }

  #result(pick: number, isError: boolean): Promise<Answer> {
    const { call } = this.#waitingCall('result', pick);
    return this.#ask('tool.result', { call, output: `result ${pick}`, is_error: isError });
  }

  /** Both at once: one of them counts. */
  async #twoDevices(pick: number): Promise<void> {
    const isApproval = pick % 2 === 0;
    const there = this.#calls().some(({ state }) => state === 'waiting');
    const wait = isApproval ? 'approval' : 'result';
    const { call, state } = this.#waitingCall(wait, pick);
    const answers = await Promise.all([
      isApproval ? this.#approve(pick, { allow: true }) : this.#result(pick, false),
      isApproval ? this.#approve(pick, { allow: false }) : this.#result(pick, true),
    ]);
    const counted = answers.filter(({ ok }) => ok).length;
    const expected = there && state === 'waiting' ? 1 : 0;
    if (counted !== expected) throw new Error(`[P7] ${counted} of two answers to ${call} counted`);
  }

  /** What is settled stays so. */
  async #late(pick: number): Promise<void> {
    const settled = [...this.#scene.row.calls.values()].filter(({ state }) => state === 'settled');
    const row = settled[pick % Math.max(1, settled.length)];
    if (row === undefined || this.#calls().some(({ call }) => call === row.call)) return;
    const { ok } = await this.#ask('tool.result', { call: row.call, output: 'too late', is_error: false });
    if (ok) throw new Error(`[P7] a result for ${row.call} was taken after it was settled`);
  }

  #waitingCall(wait: 'approval' | 'result', pick: number): Pick<CallRow, 'call' | 'hash' | 'state'> {
    const waiting = this.#calls().filter((row) => row.state === 'waiting' && row.wait === wait);
    return waiting[pick % Math.max(1, waiting.length)] ?? { call: 'none', hash: 'none', state: 'settled' };
  }

  #calls(): readonly CallRow[] {
    return [...this.#scene.row.calls.values()].filter(({ state }) => state !== 'settled');
  }

  // ----------------------------------------------------------------------------------------------------- model

  #with(act: (spoken: Spoken) => void): void {
    const { current } = this.#scene;
    if (current !== undefined) act(current);
  }

  /** A request for a title runs beside the turn. */
  #nameChat(pick: number): void {
    const { spoken } = this.#scene;
    const open = spoken.find((one) => !one.isOver && this.#scene.purposeOf(one.attempt) === 'title');
    if (open === undefined) return;
    if (pick % 3 === 0) this.#mouth.fail(open, 'overloaded');
    else this.#mouth.complete(open, this.#providers);
  }

  // ----------------------------------------------------------------------------------------------------- world

  /** The node dies; its chats are taken up by the next one, and for `absenceMs` nobody looks at them. */
  async #crash(absenceMs = 0): Promise<void> {
    const dead = this.#stage;
    this.#ghosts.push(...this.#scenes.flatMap(({ current }) => current?.attempt ?? []));
    this.#stage = this.#newStage(dead.tables);
    await this.#stage.clock.runUntil(dead.clock.nowMs());
    await this.#stage.host.start();
    await this.#stage.settle();
    for (const scene of this.#scenes) scene.moveTo(this.#stage);
    await this.#stage.clock.runFor(absenceMs);
    await this.#stage.settle();
    for (const scene of this.#scenes) checkRow(scene.row, this.#stage.clock.nowMs());
  }

  /** The node goes down in order: its turns come to the end of their steps, or to its deadline. */
  async #shutDown(pick: number): Promise<void> {
    const drained = this.#stage.host.drain();
    if (pick % 3 > 0) this.#with((spoken) => this.#mouth.call(spoken, pick, this.#providers));
    await this.#stage.clock.runFor(HOST_DEFAULTS.drainMs + 1);
    await drained;
    await this.#crash();
  }

  /** The node dies with a message on its way: nobody knows whether it was taken. */
  async #crashUnderWay(pick: number): Promise<void> {
    const { name, content } = this.#text();
    this.#scene.texts.set(name, 'open');
    const busy = must((['queue', 'interrupt', 'steer'] as const)[pick % 3], 'a way to send');
    void this.#stage.command('chat.send', { chat: uuidToBytes(this.#scene.chat), content, busy });
    for (let turns = pick % 5; turns > 0; turns--) await Promise.resolve();
    await this.#crash();
  }

  async #follow(): Promise<void> {
    for (const scene of this.#scenes) await scene.follow();
  }

  // ------------------------------------------------------------------------------------------------------- end

  /** Nothing is stuck: a message that interrupts is answered, and everything that waits comes to its end. */
  async #end(scene: FuzzScene): Promise<void> {
    this.#focus = this.#scenes.indexOf(scene);
    await this.#send('interrupt');
    const isAtRest = (): boolean => scene.row.turn === null && scene.row.queue.length === 0;
    for (let i = 0; !isAtRest() || i === 0; i++) {
      if (i > ENDINGS_MAX) throw new Error(`[P12] the chat does not come to rest: ${JSON.stringify(scene.row.chat)}`);
      await this.#stage.settle();
      await this.#follow();
      for (const one of scene.spoken) if (!one.isOver) this.#mouth.complete(one, this.#providers);
      await this.#stage.settle();
      await this.#follow();
      // After an error the queue waits for somebody; else what is left waits for the end of an edit or a retry.
      if (scene.row.chat.status === 'error') await this.#send('queue');
      await this.#stage.clock.runFor(scene.row.turn === null ? LIMITS.queueHoldMs : 5_000);
    }
    await this.#stage.settle();
    await this.#follow();
    await scene.look();
    checkScene(scene, this.#tally);
  }

  #keepBooks(): void {
    for (const { prompt, read, readable } of this.#providers.books) {
      this.#tally.cache.prompt += prompt;
      this.#tally.cache.read += read;
      this.#tally.cache.readable += readable;
    }
  }
}
