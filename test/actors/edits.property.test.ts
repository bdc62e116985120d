// Whatever people do to a chat, in whatever order: who follows it sees what somebody sees who comes now, every request is
// one that a provider takes, and the next message is answered (P2, P4, P12).
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assert } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { QUIET, Stage, type PlayedAttempt } from './stage.ts';
import { Watcher } from './watcher.ts';

/** `pick` chooses among the messages that there are, or that wait. */
type Act = { readonly what: (typeof ACTS)[number]; readonly pick: number };

const ACTS = [
  'send',
  'interrupt',
  'edit',
  'retry',
  'clear',
  'model',
  'hold',
  'release',
  'rewrite',
  'reorder',
  'promote',
  'delete',
  'stop',
  'stream',
  'complete',
  'fail',
  'fail for good',
  'wait',
  'look',
  'crash',
] as const;

class Play {
  stage: Stage;
  readonly chat: ChatId;
  watcher: Watcher;
  said = 0;
  /** Attempts that have said something. */
  readonly begun = new WeakSet<PlayedAttempt>();

  constructor(stage: Stage, chat: ChatId) {
    this.stage = stage;
    this.chat = chat;
    this.watcher = new Watcher(stage, chat);
  }

  static async make(): Promise<Play> {
    const stage = new Stage(undefined, undefined, QUIET);
    return new Play(stage, await stage.create());
  }

  async act({ what, pick }: Act): Promise<void> {
    const { row } = this;
    const queued = row.queue[pick % Math.max(1, row.queue.length)]?.id;
    const id = queued === undefined ? new Uint8Array(16).fill(7) : uuidToBytes(queued);
    const args: Readonly<Record<string, () => Promise<unknown>>> = {
      send: () => this.ask('chat.send', { content: this.text() }),
      interrupt: () => this.ask('chat.send', { content: this.text(), busy: 'interrupt' }),
      edit: () => this.ask('chat.edit', { content: this.text(), number: 1 + (pick % row.nextNumber) }),
      retry: () => this.ask('chat.retry'),
      clear: () => this.ask('chat.clear'),
      model: () => this.ask('chat.set_model', { model: pick % 2 === 0 ? 'm' : 'n' }),
      hold: () => this.ask('queue.edit', { id, hold: true }),
      release: () => this.ask('queue.edit', { id }),
      rewrite: () => this.ask('queue.edit', { id, content: this.text() }),
      reorder: () => this.ask('queue.reorder', { ids: row.queue.map((item) => uuidToBytes(item.id)).toReversed() }),
      promote: () => this.ask('queue.promote', { id }),
      delete: () => this.ask('queue.delete', { id }),
      stop: () => this.ask('chat.stop', { turn: uuidToBytes(row.turn?.id ?? row.chat.id) }),
      stream: async () => this.stream(`said ${pick} `),
      complete: async () => this.stage.attempts.at(-1)?.complete(),
      fail: async () => this.stage.attempts.at(-1)?.fail('overloaded'),
      'fail for good': async () => this.stage.attempts.at(-1)?.fail('unauthorized'),
      wait: () => this.stage.clock.runFor(pick % 2 === 0 ? 4_000 : LIMITS.queueHoldMs),
      look: () => this.look(),
      crash: () => this.crash(),
    };
    await args[what]?.();
    await this.stage.settle();
  }

  stream(text: string): void {
    const attempt = this.stage.attempts.at(-1);
    if (attempt === undefined) return;
    if (!this.begun.has(attempt)) attempt.sink.blockStart(0, 'text');
    this.begun.add(attempt);
    attempt.sink.blockDelta(0, text);
  }

  /** The node dies; the chat is taken up by the next one. */
  async crash(): Promise<void> {
    const { state, events } = this.watcher;
    const { clock, tables } = this.stage;
    this.stage = new Stage(tables, undefined, QUIET);
    await this.stage.clock.runUntil(clock.nowMs());
    await this.stage.host.start();
    this.watcher = new Watcher(this.stage, this.chat);
    this.watcher.state = state;
    this.watcher.events.push(...events);
  }

  async look(): Promise<void> {
    await this.watcher.catchUp();
    const fresh = new Watcher(this.stage, this.chat);
    await fresh.catchUp();
    expect(this.watcher.shown).toEqual(fresh.shown);
  }

  /** Nothing is stuck: once everything that runs is over, a message that interrupts is the next one to be answered. */
  async end(): Promise<void> {
    await this.ask('chat.send', { content: this.text(), busy: 'interrupt' });
    for (let i = 0; i < 100 && (this.row.turn !== null || this.row.queue.length > 0); i++) {
      await this.stage.settle();
      this.stage.attempts.at(-1)?.complete();
      await this.stage.settle();
      this.checkRequests();
      // After an error the queue waits for somebody; else what is left waits for the end of an edit.
      if (this.row.chat.status === 'error') await this.ask('chat.send', { content: this.text() });
      await this.stage.clock.runFor(this.row.turn === null ? LIMITS.queueHoldMs : 2_500);
    }
    expect(this.row).toMatchObject({ turn: null, queue: [], chat: { status: 'waiting' } });
    const open = [...this.stage.tables.attempts.values()].filter(({ settlement }) => settlement === null);
    expect(open).toEqual([]);
    await this.look();
  }

  checkRequests(): void {
    for (const { request } of this.stage.attempts) {
      expect(request.items.at(-1)?.role).toBe('user');
      expect(request.items.length).toBeGreaterThan(0);
    }
  }

  get row(): NonNullable<ReturnType<Stage['tables']['chats']['get']>> {
    const row = this.stage.tables.chats.get(this.chat);
    assert(row !== undefined, 'the chat is there');
    return row;
  }

  ask(name: string, args: Readonly<Record<string, unknown>> = {}): ReturnType<Stage['command']> {
    return this.stage.command(name, { chat: uuidToBytes(this.chat), ...args });
  }

  text(): readonly unknown[] {
    this.said += 1;
    return [{ type: 'text', text: `text ${this.said}` }];
  }
}

test('[P2] [P12] after any sequence of edits clients agree, requests are valid and the next message is answered', async () => {
  const act = fc.record({ what: fc.constantFrom(...ACTS), pick: fc.nat(50) });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), async (acts) => {
      const play = await Play.make();
      await play.act({ what: 'send', pick: 0 });
      for (const one of acts) await play.act(one);
      play.checkRequests();
      await play.look();
      await play.end();
    }),
    { numRuns: 100 },
  );
}, 60_000);
