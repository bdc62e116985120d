// The text of a scrape (Prometheus exposition format 0.0.4). A registry of our own: the library's global one, and the
// metrics that it collects by default, stay out of it.

import { Registry } from '@prometheus-io/client';
import { METRICS } from './definitions.ts';
import type { View } from './samples.ts';
import { register } from './pulled.ts';

/** Where a scrape looks. */
export type Look = () => View;

export class Exposition {
  readonly #registry = new Registry();
  readonly #look: Look;
  /** What the scrape under way sees: taken once, so that its figures belong together. */
  #view: View;
  #writing: Promise<string> | null = null;

  constructor(look: Look) {
    this.#look = look;
    this.#view = look();
    for (const metric of METRICS) register<View>(this.#registry, metric, () => this.#view);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** One at a time: whoever asks meanwhile gets the same text. */
  text(): Promise<string> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  #write(): Promise<string> {
    this.#view = this.#look();
    return this.#registry.metrics();
  }
}
