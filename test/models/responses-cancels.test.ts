// Giving up a response at the provider: nobody waits for it, yet it is owned, bounded and told (style 9, 14).

import { describe, expect, test } from 'vitest';

import { openAiModel } from '../../actors/models/openai-responses.ts';
import type { Log, ModelClient } from '../../actors/ports.ts';
import { API_KEY, responsesFixture } from './responses-fixture.ts';
import { ManualClock, settle } from './support.ts';

const { fake } = responsesFixture();

class Stage {
  readonly clock = new ManualClock();
  readonly warnings: string[] = [];
  readonly client: ModelClient;
  readonly #before = fake().requests.length;

  constructor(fraction = 0) {
    const log: Log = {
      error: () => undefined,
      warn: (message, fields) => this.warnings.push(`${message} ${JSON.stringify(fields)}`),
      info: () => undefined,
      child: () => log,
    };
    const random = { bytes: (length: number) => new Uint8Array(length), fraction: () => fraction };
    this.client = openAiModel({ apiKey: API_KEY, baseUrl: fake().baseUrl, clock: this.clock, random, log });
  }

  get requests(): number {
    return fake().requests.length - this.#before;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await settle();
  }
}

describe('giving up a response', () => {
  test.each([
    [0, [250, 1_000]],
    [0.5, [375, 1_500]],
  ])('[P12] is tried three times, spread (%d), and its failure is told once', async (fraction, delays) => {
    const stage = new Stage(fraction);
    stage.client.cancel?.('resp_unknown');
    for (const tries of [1, 2]) {
      await stage.until(() => stage.clock.pending === 1);
      expect(stage.requests).toBe(tries);
      expect(stage.warnings).toEqual([]);
      await stage.clock.run(stage.clock.nowMs() + 2_000);
    }
    await stage.until(() => stage.warnings.length > 0);
    expect(stage.requests).toBe(3);
    expect(stage.clock.delays).toEqual(delays);
    expect(stage.warnings).toEqual([expect.stringContaining('"ref":"resp_unknown"')]);
    expect(stage.clock.pending).toBe(0);
  });

  test('[P12] ends with the node: no timer is left, and nothing begins after it', async () => {
    const stage = new Stage();
    stage.client.cancel?.('resp_unknown');
    await stage.until(() => stage.clock.pending === 1);
    await stage.client.stop?.();
    expect(stage.clock.pending).toBe(0);
    expect(stage.requests).toBe(2);
    stage.client.cancel?.('resp_other');
    await settle();
    expect(stage.requests).toBe(2);
    expect(stage.warnings).toHaveLength(2);
  });

  test('[P12] so many are under way at once, no more', async () => {
    const stage = new Stage();
    for (let n = 0; n < 260; n++) stage.client.cancel?.(`resp_unknown${n}`);
    expect(stage.warnings).toHaveLength(4);
    await stage.until(() => stage.clock.pending === 256);
    await stage.client.stop?.();
    expect(stage.warnings).toHaveLength(260);
    expect(stage.clock.pending).toBe(0);
  });
});
