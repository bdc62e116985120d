// Which models a node offers. An id is `scripted`, or `provider/model` with the provider's own name of the model: those
// are opaque strings, so a model that came out today works without a change here.

import type { Clock, Log, ModelBinding, ModelClient, ModelDirectory, Random } from '../ports.ts';
import { anthropicModel } from './anthropic.ts';
import { chatCompletionsModel } from './chat-completions.ts';
import { openAiModel } from './openai-responses.ts';
import { costMicros, FREE, type ModelPrice } from './price.ts';
import { scriptedModel } from './scripted.ts';

export type ModelConfig = {
  /** The provider's name of the model. */
  readonly model: string;
  readonly maxOutputTokens?: number;
  /** Tokens of prompt and answer together. */
  readonly contextWindow?: number;
  readonly price?: ModelPrice;
};

/** `models` lists what is known of some; any other of the provider may be used too. */
export type ProviderConfig = {
  readonly apiKey: string;
  readonly baseUrl: string | null;
  readonly models: readonly ModelConfig[];
};

/** A server that speaks chat completions. Exactly these models: it may be a gateway to hundreds, at any price. */
export type CompatibleConfig = {
  /** Null: it wants none. */
  readonly apiKey: string | null;
  readonly baseUrl: string;
  readonly models: readonly ModelConfig[];
};

export type CatalogueConfig = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Null without a key. */
  readonly anthropic: ProviderConfig | null;
  /** Null without a key. */
  readonly openai: ProviderConfig | null;
  readonly compatible: CompatibleConfig | null;
  readonly scripted: boolean;
  /** By the id of the model; before what else is known of it. */
  readonly windows: ReadonlyMap<string, number>;
  /** By the id of the model: the percentage of its window from which on its chats are compacted; 100: never. */
  readonly compactionPercents: ReadonlyMap<string, number>;
  /** The id of the default; null: the first of the list. */
  readonly defaultModel: string | null;
  /** The id of the model that names chats; `none`: nobody does; null: a cheap one of the provider that answers. */
  readonly titleModel: string | null;
};

export type ModelEntry = ModelBinding & {
  readonly id: string;
  readonly price: ModelPrice | null;
};

/** `list` is for people to choose from; `find` may know more. */
export type ModelCatalogue = ModelDirectory & {
  find(id: string): ModelEntry | null;
  /** Ends what the models still do for nobody; resolves within seconds. */
  stop(): Promise<void>;
};

export type CatalogueResult =
  | { readonly outcome: 'ready'; readonly catalogue: ModelCatalogue }
  /** One plain sentence for whoever wrote the configuration. */
  | { readonly outcome: 'fault'; readonly fault: string };

export const SCRIPTED_ID = 'scripted';

/** What a key offers when the configuration names no model. */
const DEFAULTS = { anthropic: [{ model: 'claude-sonnet-5-5' }], openai: [{ model: 'gpt-6-astra' }] } as const;

/** Cheap models that name chats, by the provider. */
const TITLE_MODELS: Readonly<Record<string, string>> = {
  anthropic: 'anthropic/claude-haiku-5-5',
  openai: 'openai/gpt-5.4-nano',
};
export const NO_TITLES = 'none';

/** All current models of theirs allow at least this much; a longer answer ends with `max_tokens`, which the user sees. */
const MAX_OUTPUT_TOKENS = 16_384;

/** Likewise, of windows; where one is smaller all the same its provider says when it is full. */
const CONTEXT_WINDOWS = { anthropic: 200_000, openai: 128_000 } as const;

export function modelCatalogue(config: CatalogueConfig): CatalogueResult {
  const providers = providersOf(config);
  const ids = [...providers.flatMap(({ listed }) => listed), ...(config.scripted ? [SCRIPTED_ID] : [])];
  const defaultId = config.defaultModel ?? ids[0];
  if (defaultId === undefined) {
    return {
      outcome: 'fault',
      fault: 'No model is set up: give a key of a provider, or switch the scripted model on.',
    };
  }
  const find = finder(providers, config);
  if (find(defaultId) === null) {
    return {
      outcome: 'fault',
      fault: `The default model ${JSON.stringify(defaultId)} is not set up; there are: ${ids.join(', ')}.`,
    };
  }
  const { titleModel } = config;
  if (titleModel !== null && titleModel !== NO_TITLES && find(titleModel) === null) {
    return { outcome: 'fault', fault: `The model for titles ${JSON.stringify(titleModel)} is not set up.` };
  }
  const titleModelFor = (id: string): string | null => {
    if (titleModel === NO_TITLES) return null;
    return titleModel ?? TITLE_MODELS[find(id)?.provider ?? ''] ?? null;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(providers.map(({ client }) => client.stop?.() ?? Promise.resolve()));
  };
  const list = ids.map((id) => ({ id, default: id === defaultId }));
  return { outcome: 'ready', catalogue: { list: () => list, find, titleModelFor, defaultId, stop } };
}

/** A provider whose key is there. */
type Provider = {
  readonly name: string;
  readonly client: ModelClient;
  /** Ids for people to choose from. */
  readonly listed: readonly string[];
  readonly known: ReadonlyMap<string, ModelConfig>;
  /** Models that are not known may be used too. */
  readonly isOpen: boolean;
  /** Where nothing else is known. */
  readonly maxOutputTokens: number | null;
  readonly contextWindow: number | null;
};

/** In the order in which they are offered. */
function providersOf({ clock, random, log, anthropic, openai, compatible }: CatalogueConfig): readonly Provider[] {
  return [
    ...(anthropic === null ? [] : [provider('anthropic', anthropicModel({ ...anthropic, clock }), anthropic)]),
    ...(openai === null ? [] : [provider('openai', openAiModel({ ...openai, clock, random, log }), openai)]),
    ...(compatible === null ? [] : [compatibleProvider(clock, compatible)]),
  ];
}

function provider(name: keyof typeof DEFAULTS, client: ModelClient, { models }: ProviderConfig): Provider {
  const offered = models.length > 0 ? models : DEFAULTS[name];
  return {
    name,
    client,
    listed: offered.map(({ model }) => `${name}/${model}`),
    known: byName(models),
    isOpen: true,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    contextWindow: CONTEXT_WINDOWS[name],
  };
}

function compatibleProvider(clock: Clock, { apiKey, baseUrl, models }: CompatibleConfig): Provider {
  const known = byName(models);
  const listed = Array.from(known.keys(), (model) => `compatible/${model}`);
  const client = chatCompletionsModel({ apiKey, baseUrl, clock });
  // Windows of all sizes: many of these servers refuse a limit that does not fit into what the prompt leaves.
  return { name: 'compatible', client, listed, known, isOpen: false, maxOutputTokens: null, contextWindow: null };
}

function byName(models: readonly ModelConfig[]): ReadonlyMap<string, ModelConfig> {
  return new Map(models.map((model) => [model.model, model]));
}

function finder(providers: readonly Provider[], config: CatalogueConfig): (id: string) => ModelEntry | null {
  const played = config.scripted ? scriptedEntry(config) : null;
  return (id) => {
    if (id === SCRIPTED_ID) return played;
    // What a provider could ever name a model; keeps strangers' strings out of logs and rows.
    const [, name, providerModel] = /^(\w+)\/([\w.:@/-]{1,200})$/u.exec(id) ?? [];
    const found = providers.find((one) => one.name === name);
    if (found === undefined || providerModel === undefined) return null;
    const model = found.known.get(providerModel);
    if (model === undefined && !found.isOpen) return null;
    const price = model?.price ?? null;
    return {
      id,
      client: found.client,
      provider: found.name,
      providerModel,
      maxOutputTokens: model?.maxOutputTokens ?? found.maxOutputTokens,
      contextWindow: config.windows.get(id) ?? model?.contextWindow ?? found.contextWindow,
      compactionPercent: config.compactionPercents.get(id) ?? null,
      price,
      cost: (usage) => costMicros(usage, price),
    };
  };
}

function scriptedEntry({ clock, windows, compactionPercents }: CatalogueConfig): ModelEntry {
  const contextWindow = windows.get(SCRIPTED_ID) ?? null;
  return {
    id: SCRIPTED_ID,
    client: scriptedModel({ clock, contextWindow }),
    provider: SCRIPTED_ID,
    providerModel: SCRIPTED_ID,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    contextWindow,
    compactionPercent: compactionPercents.get(SCRIPTED_ID) ?? null,
    price: FREE,
    cost: (usage) => costMicros(usage, FREE),
  };
}
