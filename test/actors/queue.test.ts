// Sending while a turn runs, and stopping it (P6).
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { Busy } from '../../protocol/content.ts';
import { uuidToBytes, type ChatId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Position } from '../../protocol/position.ts';
import { eventsOf, Stage, type Answer } from './stage.ts';

class Scene {
  readonly stage = new Stage();
  readonly chat: ChatId;

  constructor(stage: Stage, chat: ChatId) {
    this.stage = stage;
    this.chat = chat;
  }

  /** A turn runs and has streamed a little. */
  static async running(): Promise<Scene> {
    const stage = new Stage();
    const scene = new Scene(stage, await stage.create());
    await scene.send('first');
    await stage.settle();
    stage.attempt.sink.blockStart(0, 'text');
    stage.attempt.sink.blockDelta(0, 'so far');
    await stage.settle();
    return scene;
  }

  send(text: string, busy: Busy = 'queue'): Promise<Answer> {
    const content = [{ type: 'text', text }];
    return this.stage.command('chat.send', { chat: uuidToBytes(this.chat), content, busy });
  }

  stop(turn: string | null = this.row.turn?.id ?? null): Promise<Answer> {
    const id = uuidToBytes(must(turn, 'a turn to stop'));
    return this.stage.command('chat.stop', { chat: uuidToBytes(this.chat), turn: id });
  }

  get row(): NonNullable<ReturnType<Stage['tables']['chats']['get']>> {
    return must(this.stage.tables.chats.get(this.chat), 'the chat exists');
  }

  /** The texts of the messages, what is cut off marked by "…". */
  get texts(): readonly string[] {
    return this.row.messages.map(({ parts, interrupted }) => `${parts[0]?.text}${interrupted ? '…' : ''}`);
  }

  get queue(): readonly string[] {
    return this.row.queue.map(({ parts }) => parts[0]?.text ?? '');
  }
}

function result({ body }: Answer): unknown {
  const { outcome, code } = body as { readonly outcome?: unknown; readonly code?: unknown };
  return outcome ?? code;
}

describe('queue', () => {
  test('[queue] messages wait for their turn in order', async () => {
    const scene = await Scene.running();
    expect(result(await scene.send('second'))).toBe('queued');
    expect(result(await scene.send('third'))).toBe('queued');
    scene.stage.attempt.complete();
    await scene.stage.settle();
    expect(scene.texts).toEqual(['first', 'so far', 'second']);
    expect(scene.queue).toEqual(['third']);
  });

  test('[queue] "reject" is refused while a turn runs, and a full queue refuses the others', async () => {
    const scene = await Scene.running();
    expect(result(await scene.send('now or never', 'reject'))).toBe('busy');
    for (let i = 0; i < LIMITS.queuedMessages; i++) await scene.send(`waiting ${i}`);
    expect(result(await scene.send('one more'))).toBe('queue_full');
    expect(result(await scene.send('one more', 'interrupt'))).toBe('queue_full');
    expect(scene.queue).toHaveLength(LIMITS.queuedMessages);
  });

  test('[P9] a queue is full by its bytes too: all of it is in one frame', async () => {
    const scene = await Scene.running();
    const large = 'x'.repeat(LIMITS.scannedStringBytes - 1_000);
    for (let i = 0; i < 3; i++) expect(result(await scene.send(large))).toBe('queued');
    expect(result(await scene.send('one more'))).toBe('queue_full');
    expect(scene.queue).toHaveLength(3);
  });

  test('[queue] "interrupt" keeps what was streamed and comes before all that wait', async () => {
    const scene = await Scene.running();
    await scene.send('waiting');
    expect(result(await scene.send('at once', 'interrupt'))).toBe('queued');
    expect(scene.stage.attempt.signal.aborted).toBe(true);
    scene.stage.attempt.abort();
    await scene.stage.settle();
    expect(scene.texts).toEqual(['first', 'so far…', 'at once']);
    expect(scene.queue).toEqual(['waiting']);
  });
});

describe('stop', () => {
  test('[P6] stopping names the turn, aborts the request, and may be said twice or too late', async () => {
    const scene = await Scene.running();
    const { attempt } = scene.stage;
    const turn = scene.row.turn?.id ?? null;
    expect(result(await scene.stop())).toBe('stopping');
    expect(attempt.signal.aborted).toBe(true);
    expect(result(await scene.stop())).toBe('stopping');
    attempt.abort();
    await scene.stage.settle();
    expect(scene.texts).toEqual(['first', 'so far…']);
    expect(scene.row).toMatchObject({ turn: null, chat: { status: 'waiting' } });
    expect(result(await scene.stop(turn))).toBe('not_running');
  });

  test('[P6] stopping another turn than the one that runs changes nothing', async () => {
    const scene = await Scene.running();
    expect(result(await scene.stop(scene.stage.newId()))).toBe('not_running');
    expect(scene.stage.attempt.signal.aborted).toBe(false);
  });

  test('[P6] a provider that does not let go is not waited for, and nothing it says afterwards is shown', async () => {
    const scene = await Scene.running();
    const { attempt } = scene.stage;
    const attached = await scene.stage.attach(scene.chat);
    const { position } = attached as { readonly position: Position };
    await scene.stop();
    attempt.sink.blockDelta(0, ' too late');
    await scene.stage.clock.runFor(3_000);
    attempt.sink.blockDelta(0, ' much too late');
    attempt.complete();
    await scene.stage.settle();
    expect(scene.texts).toEqual(['first', 'so far…']);
    const kinds = eventsOf(attached, position).map(({ event }) => event.kind);
    expect(kinds.filter((kind) => kind === 'block')).toEqual([]);
    expect(kinds).toContain('turn');
  });

  test('[P6] nobody needs to follow a chat for its turn to go on', async () => {
    const scene = await Scene.running();
    const attached = await scene.stage.attach(scene.chat);
    if ('detach' in attached) attached.detach();
    scene.stage.attempt.sink.blockDelta(0, ' and on');
    scene.stage.attempt.complete();
    await scene.stage.settle();
    expect(scene.texts).toEqual(['first', 'so far and on']);
  });
});
