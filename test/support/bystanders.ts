// Well-behaved sessions that run beside an attack, each in a chat of its own, and must not notice it: turns, commands and
// queries all the time, on one connection that is never closed, without a gap, and with an answer within seconds.

import { scriptedText } from '../../actors/models/script-text.ts';
import type { ChatHandle, ParleyClient } from '../../protocol/client/index.ts';
import { Clients } from './clients.ts';
import type { NodeProcess } from './node-process.ts';
import { answerText, Witness } from './witness.ts';

const PROMPT = '/script deltas=100 pace=10ms unicode=1';
const EXPECTED = scriptedText(PROMPT);

/** An answer that takes longer is none: about liveness, on a machine that is busy with the attack, not about speed. */
const ANSWER_MAX_MS = 10_000;

type Bystander = { readonly client: ParleyClient; readonly handle: ChatHandle; readonly witness: Witness };

export class Bystanders {
  /** Turns that were seen from their first to their last byte. */
  turns = 0;
  slowestMs = 0;
  readonly #clients = new Clients();
  readonly #faults: string[] = [];
  readonly #all: Bystander[] = [];
  #running: Promise<void> = Promise.resolve();
  #stopping = false;

  static async start(node: NodeProcess, count: number): Promise<Bystanders> {
    const bystanders = new Bystanders();
    for (let i = 0; i < count; i++) await bystanders.#add(node.url, await node.tokenFor(`bystander ${i}`));
    bystanders.#running = Promise.all(bystanders.#all.map((one) => bystanders.#live(one))).then(
      () => undefined,
      (error: unknown) => void bystanders.#faults.push(String(error)),
    );
    return bystanders;
  }

  get count(): number {
    return this.#all.length;
  }

  /** After the turns that run; what any of them noticed, in words. */
  async stop(): Promise<string[]> {
    this.#stopping = true;
    await this.#running;
    for (const { witness } of this.#all) {
      const { resumed, snapshot, gone } = witness.outcomes;
      if (resumed + gone > 0 || snapshot !== 1)
        this.#faults.push(`attached again: ${JSON.stringify(witness.outcomes)}`);
      this.#faults.push(...witness.faults);
      witness.stop();
    }
    this.#clients.closeAll();
    return this.#faults;
  }

  /** At the end of a test that may have failed. */
  abandon(): void {
    this.#stopping = true;
    this.#clients.closeAll();
  }

  async #add(url: string, token: string): Promise<void> {
    const client = await this.#clients.connect(url, token);
    client.onStatus((status) => {
      if (!this.#stopping) this.#faults.push(`the connection: ${JSON.stringify(status)}`);
    });
    const handle = client.chat((await client.createChat()).id);
    const witness = new Witness(client, handle);
    handle.attach();
    await handle.until(({ position }) => position !== null);
    this.#all.push({ client, handle, witness });
  }

  async #live({ client, handle }: Bystander): Promise<void> {
    for (let turn = 1; !this.#stopping; turn++) {
      const sent = await this.#timed(handle.send(PROMPT));
      await this.#timed(client.rename(handle.id, `turn ${turn}`));
      await this.#timed(client.list({ limit: 1 }));
      const ended = await handle.until(({ lastTurn }) => lastTurn?.turn === sent.turn);
      if (answerText(ended) !== EXPECTED) this.#faults.push(`a turn said ${answerText(ended).slice(0, 80)}`);
      this.turns += 1;
    }
  }

  async #timed<T>(answer: Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const result = await answer;
    const tookMs = performance.now() - startedMs;
    this.slowestMs = Math.max(this.slowestMs, tookMs);
    if (tookMs > ANSWER_MAX_MS) this.#faults.push(`an answer took ${Math.round(tookMs)} ms`);
    return result;
  }
}
