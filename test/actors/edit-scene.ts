// One chat of a stage in which people talk, change their minds and look on.
import { expect } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { uuidToBytes, type ChatId, type CommandId } from '../../protocol/ids.ts';
import { Stage, type Answer } from './stage.ts';
import { Watcher } from './watcher.ts';

export class EditScene {
  readonly stage: Stage;
  readonly chat: ChatId;
  readonly watcher: Watcher;

  constructor(stage: Stage, chat: ChatId) {
    this.stage = stage;
    this.chat = chat;
    this.watcher = new Watcher(stage, chat);
  }

  static async make(): Promise<EditScene> {
    const stage = new Stage();
    return new EditScene(stage, await stage.create());
  }

  async ask(name: string, args: Readonly<Record<string, unknown>> = {}, id?: CommandId): Promise<Answer> {
    const answer = await this.stage.command(name, { chat: uuidToBytes(this.chat), ...args }, id);
    await this.stage.settle();
    return answer;
  }

  send(text: string, busy = 'queue'): Promise<Answer> {
    return this.ask('chat.send', { content: [{ type: 'text', text }], busy });
  }

  edit(number: number, text: string, more = {}): Promise<Answer> {
    return this.ask('chat.edit', { number, content: [{ type: 'text', text }], ...more });
  }

  async stream(text: string): Promise<void> {
    this.stage.attempt.sink.blockStart(0, 'text');
    this.stage.attempt.sink.blockDelta(0, text);
    await this.stage.settle();
  }

  async answer(text: string): Promise<void> {
    await this.stream(text);
    this.stage.attempt.complete();
    await this.stage.settle();
  }

  /** `one`, `two` … are sent and answered. */
  async talk(...texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      await this.send(text);
      await this.answer(`re ${text}`);
    }
  }

  /** The turn that runs fails for good. */
  async fail(): Promise<void> {
    this.stage.attempt.fail('unauthorized');
    await this.stage.settle();
  }

  /** The id of the message that waits at that place, from 1. */
  queued(place: number): Uint8Array {
    return uuidToBytes(must(this.row.queue[place - 1], 'it waits').id);
  }

  get waiting(): readonly string[] {
    return this.row.queue.map(({ parts }) => parts[0]?.text ?? '');
  }

  get row(): NonNullable<ReturnType<Stage['tables']['chats']['get']>> {
    return must(this.stage.tables.chats.get(this.chat), 'the chat exists');
  }

  /** What the model was asked last. */
  get prompt(): readonly (string | undefined)[] {
    return this.stage.attempt.request.items.map(({ parts }) => parts[0]?.text);
  }

  /** What a client that follows sees, and the same as one that comes now. */
  async texts(): Promise<readonly string[]> {
    await this.watcher.catchUp();
    const fresh = new Watcher(this.stage, this.chat);
    await fresh.catchUp();
    expect(this.watcher.shown).toEqual(fresh.shown);
    return this.watcher.texts;
  }

  get forks(): readonly string[] {
    return this.watcher.events.flatMap((event) => (event.kind === 'fork' ? [event.reason] : []));
  }
}

export function code({ body }: Answer): unknown {
  return (body as { readonly code?: unknown }).code;
}
