import { describe, expect, test } from 'vitest';

import type { Log } from '../ports.ts';
import { type CatalogueConfig, type ModelCatalogue, modelCatalogue } from './catalogue.ts';
import { FREE } from './price.ts';

const CLOCK = { nowMs: () => 0, after: () => () => undefined };
const LOG: Log = { error: () => undefined, warn: () => undefined, info: () => undefined, child: () => LOG };
const KEY = { apiKey: 'k', baseUrl: null, models: [] };
const NOTHING: CatalogueConfig = {
  clock: CLOCK,
  random: { bytes: (length) => new Uint8Array(length), fraction: () => 0 },
  log: LOG,
  anthropic: null,
  openai: null,
  compatible: null,
  scripted: false,
  windows: new Map(),
  compactionPercents: new Map(),
  defaultModel: null,
  titleModel: null,
};

function ready(config: Partial<CatalogueConfig>): ModelCatalogue {
  const result = modelCatalogue({ ...NOTHING, ...config });
  if (result.outcome === 'fault') throw new Error(result.fault);
  return result.catalogue;
}

describe('the catalogue', () => {
  test('[models] without a key the scripted model is the default, and free', () => {
    const catalogue = ready({ scripted: true });
    expect(catalogue.list()).toEqual([{ id: 'scripted', default: true }]);
    expect(catalogue.defaultId).toBe('scripted');
    expect(catalogue.find('scripted')).toMatchObject({ provider: 'scripted', providerModel: 'scripted', price: FREE });
    expect(catalogue.find('anthropic/claude-sonnet-5-5')).toBeNull();
  });

  test('[models] with a key its provider comes first, and any model of it is found', () => {
    const catalogue = ready({ anthropic: KEY, scripted: true });
    expect(catalogue.list().map(({ id }) => id)).toEqual(['anthropic/claude-sonnet-5-5', 'scripted']);
    expect(catalogue.find('anthropic/claude-of-tomorrow')).toMatchObject({
      provider: 'anthropic',
      providerModel: 'claude-of-tomorrow',
      price: null,
      contextWindow: 200_000,
    });
  });

  test('[models] several keys: each provider has its own models, in a fixed order', () => {
    const catalogue = ready({ anthropic: KEY, openai: KEY, scripted: true });
    expect(catalogue.list().map(({ id }) => id)).toEqual([
      'anthropic/claude-sonnet-5-5',
      'openai/gpt-6-astra',
      'scripted',
    ]);
    expect(catalogue.find('openai/gpt-of-tomorrow')).toMatchObject({
      provider: 'openai',
      providerModel: 'gpt-of-tomorrow',
      price: null,
    });
    expect(ready({ openai: KEY }).find('anthropic/claude')).toBeNull();
  });

  test('[models] what the configuration knows of a model is used', () => {
    const model = { model: 'm-1', maxOutputTokens: 100, contextWindow: 1_000, price: FREE };
    const catalogue = ready({ anthropic: { ...KEY, models: [model] }, defaultModel: 'anthropic/m-1' });
    expect(catalogue.list()).toEqual([{ id: 'anthropic/m-1', default: true }]);
    expect(catalogue.find('anthropic/m-1')).toMatchObject({ maxOutputTokens: 100, contextWindow: 1_000, price: FREE });
  });

  test('[compaction] windows: as set, else as configured, else what all models of the provider have; compatible ones are unknown', () => {
    const compatible = { apiKey: null, baseUrl: 'http://127.0.0.1:1/v1', models: [{ model: 'a' }, { model: 'b' }] };
    const catalogue = ready({
      anthropic: KEY,
      openai: KEY,
      compatible,
      scripted: true,
      windows: new Map([
        ['compatible/b', 32_768],
        ['scripted', 2_000],
      ]),
      compactionPercents: new Map([['anthropic/x', 100]]),
    });
    const windowOf = (id: string): number | null | undefined => catalogue.find(id)?.contextWindow;
    expect(['anthropic/x', 'openai/x', 'compatible/a', 'compatible/b', 'scripted'].map(windowOf)).toEqual([
      200_000,
      128_000,
      null,
      32_768,
      2_000,
    ]);
    expect(catalogue.find('anthropic/x')?.compactionPercent).toBe(100);
    expect(catalogue.find('anthropic/y')?.compactionPercent).toBeNull();
  });

  test('[titles] chats are named by a cheap model of the provider that answers, by the one that is set, or by none', () => {
    const some = ready({ anthropic: KEY, openai: KEY, scripted: true });
    expect(['anthropic/x', 'openai/x', 'scripted', 'nobody/x'].map((id) => some.titleModelFor(id))).toEqual([
      'anthropic/claude-haiku-5-5',
      'openai/gpt-5.4-nano',
      null,
      null,
    ]);
    const set = ready({ anthropic: KEY, openai: KEY, titleModel: 'openai/cheap' });
    expect(set.titleModelFor('anthropic/x')).toBe('openai/cheap');
    expect(ready({ anthropic: KEY, titleModel: 'none' }).titleModelFor('anthropic/x')).toBeNull();
    expect(modelCatalogue({ ...NOTHING, anthropic: KEY, titleModel: 'openai/cheap' })).toEqual({
      outcome: 'fault',
      fault: 'The model for titles "openai/cheap" is not set up.',
    });
  });

  test('[models] of a compatible server exactly the models that are listed, whatever their names hold', () => {
    const models = [{ model: 'qwen3:8b' }, { model: 'meta-llama/Llama-3.1-8B', maxOutputTokens: 9 }];
    const compatible = { apiKey: null, baseUrl: 'http://127.0.0.1:11434/v1', models };
    const catalogue = ready({ compatible, scripted: true });
    expect(catalogue.list().map(({ id }) => id)).toEqual([
      'compatible/qwen3:8b',
      'compatible/meta-llama/Llama-3.1-8B',
      'scripted',
    ]);
    expect(catalogue.find('compatible/qwen3:8b')).toMatchObject({
      provider: 'compatible',
      providerModel: 'qwen3:8b',
      maxOutputTokens: null,
      price: null,
    });
    expect(catalogue.find('compatible/meta-llama/Llama-3.1-8B')).toMatchObject({ maxOutputTokens: 9 });
    expect(catalogue.find('compatible/gpt-of-tomorrow')).toBeNull();
    expect(ready({ anthropic: KEY }).find('compatible/qwen3:8b')).toBeNull();
  });

  test.each([
    '',
    'anthropic/',
    'anthropic/a b',
    'anthropic/\n',
    `anthropic/${'x'.repeat(201)}`,
    'openai/gpt',
    'claude',
    'scripted/x',
    '__proto__',
  ])('[models] %j is no model', (id) => {
    expect(ready({ anthropic: KEY, scripted: true }).find(id)).toBeNull();
  });

  test('[models] no model at all, or a default that is not set up, is a fault in one sentence', () => {
    expect(modelCatalogue(NOTHING)).toMatchObject({
      outcome: 'fault',
      fault: expect.stringContaining('No model is set up') as string,
    });
    expect(modelCatalogue({ ...NOTHING, scripted: true, defaultModel: 'anthropic/x' })).toEqual({
      outcome: 'fault',
      fault: 'The default model "anthropic/x" is not set up; there are: scripted.',
    });
  });
});
