// What has to hold on every bus.

import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus } from '../../actors/cluster/bus.ts';

export type BusStage = {
  /** A connected end of the same bus as all others of the stage. */
  join(): Promise<Bus>;
  /** Cuts all ends off, and lets them in again. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  stop(): Promise<void>;
};

export function busContract(name: string, open: () => Promise<BusStage>): void {
  describe(`[bus] ${name}`, () => {
    let stage: BusStage;
    let ends: Bus[];

    beforeEach(async () => {
      stage = await open();
      ends = [];
    });

    afterEach(async () => {
      await Promise.all(ends.map((end) => end.close()));
      await stage.stop();
    });

    async function join(): Promise<Bus> {
      const end = await stage.join();
      ends.push(end);
      return end;
    }

    test('[bus] who subscribes gets what is published on the subject, once, and nothing of another subject', async () => {
      const [sender, reader] = [await join(), await join()];
      const inbox = new Inbox(reader, 'one');
      const other = new Inbox(reader, 'other');
      await inbox.settledWith(sender);
      expect(sender.publish('one', utf8('a'))).toBe(true);
      expect(sender.publish('two', utf8('b'))).toBe(true);
      await inbox.settledWith(sender);
      expect(inbox.texts).toEqual(['a']);
      expect(other.texts).toEqual([]);
    });

    test('[bus] what one end publishes on one subject arrives in its order', async () => {
      const [sender, reader] = [await join(), await join()];
      const inbox = new Inbox(reader, 'order');
      await inbox.settledWith(sender);
      const sent = Array.from({ length: 2_000 }, (_, i) => String(i));
      for (const text of sent) sender.publish('order', utf8(text));
      await inbox.settledWith(sender);
      expect(inbox.texts).toEqual(sent);
    });

    test('[bus] an end hears itself, and several subscriptions each get a message', async () => {
      const end = await join();
      const [first, second] = [new Inbox(end, 'self'), new Inbox(end, 'self')];
      await first.settledWith(end);
      end.publish('self', utf8('x'));
      await first.settledWith(end);
      expect([first.texts, second.texts]).toEqual([['x'], ['x']]);
    });

    test('[bus] the bytes that a reader gets are its own', async () => {
      const [sender, reader] = [await join(), await join()];
      const got: Uint8Array[] = [];
      reader.subscribe('bytes', (bytes) => got.push(bytes));
      const inbox = new Inbox(reader, 'bytes');
      await inbox.settledWith(sender);
      sender.publish('bytes', utf8('kept'));
      await inbox.settledWith(sender);
      const [mine] = got;
      mine?.fill(0);
      sender.publish('bytes', utf8('again'));
      await inbox.settledWith(sender);
      expect(inbox.texts).toEqual(['kept', 'again']);
    });

    test('[bus] after its end a subscription gets nothing', async () => {
      const [sender, reader] = [await join(), await join()];
      const got: Uint8Array[] = [];
      const end = reader.subscribe('gone', (bytes) => got.push(bytes));
      const witness = new Inbox(reader, 'gone');
      await witness.settledWith(sender);
      end();
      // Its server has to hear of that before the next message.
      await witness.settledWith(reader);
      const before = got.length;
      sender.publish('gone', utf8('late'));
      await witness.settledWith(sender);
      expect(witness.texts).toEqual(['late']);
      expect(got).toHaveLength(before);
    });

    test('[bus] a message of the largest size arrives whole', async () => {
      const [sender, reader] = [await join(), await join()];
      const inbox = new Inbox(reader, 'large');
      await inbox.settledWith(sender);
      sender.publish('large', new Uint8Array(sender.messageBytesMax).fill(97));
      await inbox.settledWith(sender);
      expect(inbox.texts.map((text) => text.length)).toEqual([sender.messageBytesMax]);
    });

    test('[bus] cut off it says so, takes nothing and delivers nothing of that later; afterwards it goes on', async () => {
      const [sender, reader] = [await join(), await join()];
      const inbox = new Inbox(reader, 'cut');
      await inbox.settledWith(sender);
      const changes: boolean[] = [];
      sender.watch((connected) => changes.push(connected));
      const [isCut, isCutToo] = [became(sender, false), became(reader, false)];
      await stage.cut();
      await Promise.all([isCut, isCutToo]);
      expect(sender.connected).toBe(false);
      expect(sender.publish('cut', utf8('lost'))).toBe(false);
      const [isBack, isBackToo] = [became(sender, true), became(reader, true)];
      await stage.mend();
      await Promise.all([isBack, isBackToo]);
      await inbox.settledWith(sender);
      sender.publish('cut', utf8('new'));
      await inbox.settledWith(sender);
      expect(inbox.texts).toEqual(['new']);
      expect(changes).toEqual([false, true]);
    });

    test('[bus] a closed end takes nothing and hears nothing', async () => {
      const [sender, reader, other] = [await join(), await join(), await join()];
      const inbox = new Inbox(reader, 'closed');
      const witness = new Inbox(other, 'closed');
      await Promise.all([inbox.settledWith(sender), witness.settledWith(sender)]);
      await reader.close();
      expect(reader.publish('closed', utf8('x'))).toBe(false);
      sender.publish('closed', utf8('y'));
      await witness.settledWith(sender);
      expect([inbox.texts, witness.texts]).toEqual([[], ['y']]);
    });
  });
}

/** What a subscription got, but for the marks by which it is known that all before them has come. */
class Inbox {
  readonly texts: string[] = [];
  readonly #subject: string;
  #marks = 0;
  #onMark: (mark: string) => void = () => undefined;

  constructor(end: Bus, subject: string) {
    this.#subject = subject;
    end.subscribe(subject, (bytes) => {
      const text = new TextDecoder().decode(bytes);
      if (text.startsWith('mark ')) this.#onMark(text);
      else this.texts.push(text);
    });
  }

  /** Everything that `sender` published on this subject before has come. */
  async settledWith(sender: Bus): Promise<void> {
    this.#marks += 1;
    const mark = `mark ${this.#subject} ${this.#marks} ${Math.random()}`;
    // A subscription takes a moment to be known: until then a mark is lost like anything else.
    const came = new Promise<void>((resolve) => {
      this.#onMark = (got) => {
        if (got === mark) resolve();
      };
    });
    for (let isThere = false; !isThere;) {
      sender.publish(this.#subject, utf8(mark));
      const late = once(AbortSignal.timeout(20), 'abort').then(() => false);
      isThere = await Promise.race([came.then(() => true), late]);
    }
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function became(end: Bus, connected: boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = end.watch((now) => {
      if (now !== connected) return;
      stop();
      resolve();
    });
    if (end.connected === connected) {
      stop();
      resolve();
    }
  });
}
