// Loads chats in batches: what is asked for while a round to storage is under way goes with the next one.

import type { Activation, ActivationResult, ChatStore } from '../ports.ts';
import type { ActorCounts } from '../chat/counts.ts';
import { CHAT_LIMITS } from '../chat/settings.ts';
import { HOST_LIMITS } from './settings.ts';

type Waiting = { readonly activation: Activation; readonly resolve: (result: ActivationResult) => void };

export class Activations {
  readonly #store: ChatStore;
  readonly #counts: ActorCounts;
  #waiting: Waiting[] = [];
  #loading = false;

  constructor(store: ChatStore, counts: ActorCounts) {
    this.#store = store;
    this.#counts = counts;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  load(activation: Activation): Promise<ActivationResult> {
    if (this.#waiting.length >= HOST_LIMITS.activationsWaiting) {
      this.#counts.limits.add('activationsWaiting');
      return Promise.resolve({ outcome: 'unavailable', detail: 'too many chats are being loaded' });
    }
    return new Promise((resolve) => {
      this.#waiting.push({ activation, resolve });
      if (!this.#loading) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#loading = true;
    // What arrives in the same turn of the event loop belongs into the first round.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, HOST_LIMITS.activationBatch);
      const results = await this.#round(batch.map((waiting) => waiting.activation));
      for (const [i, { resolve }] of batch.entries()) {
        const result = results[i] ?? { outcome: 'unavailable', detail: 'the chat was not loaded' };
        this.#counts.activations.add(result.outcome);
        resolve(result);
      }
    }
    this.#loading = false;
  }

  async #round(activations: readonly Activation[]): Promise<readonly ActivationResult[]> {
    try {
      return await this.#store.activate(activations, CHAT_LIMITS.rememberedCommands);
    } catch {
      return activations.map(() => ({ outcome: 'unavailable', detail: 'the chat could not be loaded' }));
    }
  }
}
