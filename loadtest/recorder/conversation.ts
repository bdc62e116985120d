// What the people of one chat do, by seed: they ask, stop, rename, repeat themselves, come and go, from two devices.

import type { TurnId } from '../../protocol/ids.ts';
import type { ChatState } from '../../protocol/client/index.ts';
import { pick, turnOf, type Command, type Device } from './device.ts';

export type ConversationOptions = {
  readonly devices: readonly Device[];
  /** In [0, 1). */
  readonly fraction: () => number;
  /** Waits; resolves early when the load ends. */
  readonly pause: (ms: number) => Promise<void>;
  readonly isOver: () => boolean;
  /** The script of a turn, as the scripted model understands it. */
  readonly prompt: (fraction: () => number) => string;
  /** How often somebody leaves and comes back, per turn. */
  readonly leaves: number;
};

/** What may happen beside a turn, and how often. */
const CHANCES = { stop: 0.15, rename: 0.1, repeat: 0.1, interrupt: 0.1, queue: 0.15 } as const;
const STOP_AFTER_MS = 1_500;
const REST_MS = 400;
const REPEATABLE_MAX = 8;

export class Conversation {
  /** Turns that were seen to end. */
  turns = 0;
  readonly #options: ConversationOptions;
  readonly #repeatable: Command[] = [];
  #renames = 0;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  /** Until the load ends; whatever waits then is given up. */
  async run(): Promise<void> {
    const { pause, fraction, isOver } = this.#options;
    await pause(fraction() * REST_MS * 4);
    while (!isOver()) {
      await this.#exchange();
      await pause(fraction() * REST_MS);
    }
  }

  async #exchange(): Promise<void> {
    const { prompt, fraction, leaves } = this.#options;
    const asker = this.#anybody();
    const sent = await asker.send(prompt(fraction), this.#chance(CHANCES.interrupt) ? 'interrupt' : 'queue');
    if (sent.outcome !== 'acked') return;
    this.#remember(sent.command);
    const turn = turnOf(sent.command);
    if (this.#chance(CHANCES.queue)) this.#remember((await this.#anybody().send(prompt(fraction), 'queue')).command);
    if (this.#chance(CHANCES.rename)) this.#remember((await this.#rename()).command);
    if (this.#chance(CHANCES.repeat)) await this.#anybody().repeat(pick(this.#repeatable, fraction()));
    if (this.#chance(leaves)) this.#anybody().reconnect();
    if (this.#chance(CHANCES.stop)) await this.#stop(turn);
    await this.#atRest();
  }

  async #stop(turn: TurnId): Promise<void> {
    const { pause, fraction } = this.#options;
    await pause(fraction() * STOP_AFTER_MS);
    this.#remember((await this.#anybody().stop(turn)).command);
  }

  #rename(): ReturnType<Device['rename']> {
    this.#renames += 1;
    return this.#anybody().rename(`title ${this.#renames}`);
  }

  /** Until either device shows that nothing runs and nothing waits. When the load is over its next change ends this. */
  async #atRest(): Promise<void> {
    const { devices, isOver } = this.#options;
    const rest = (state: ChatState): boolean => isOver() || (state.turn === null && state.queue.length === 0);
    await Promise.race(devices.map(({ handle }) => handle.until(rest)));
    this.turns += 1;
  }

  #remember(command: Command): void {
    this.#repeatable.push(command);
    if (this.#repeatable.length > REPEATABLE_MAX) this.#repeatable.shift();
  }

  #anybody(): Device {
    return pick(this.#options.devices, this.#options.fraction());
  }

  #chance(probability: number): boolean {
    return this.#options.fraction() < probability;
  }
}
