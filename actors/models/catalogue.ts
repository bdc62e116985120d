// Which models a node offers. An id is `scripted`, or `provider/model` with the provider's own name of the model: those
// are opaque strings, so a model that came out today works without a change here.

import type { Clock, ModelBinding, ModelDirectory } from '../ports.ts';
import { anthropicModel } from './anthropic.ts';
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

export type CatalogueConfig = {
  readonly clock: Clock;
  /** Null without a key. `models` lists what is known of some; any other may be used too. */
  readonly anthropic: {
    readonly apiKey: string;
    readonly baseUrl: string | null;
    readonly models: readonly ModelConfig[];
  } | null;
  readonly scripted: boolean;
  /** The id of the default; null: the first of the list. */
  readonly defaultModel: string | null;
};

export type ModelEntry = ModelBinding & {
  readonly id: string;
  /** Null: unknown; the provider says when it is exceeded. */
  readonly contextWindow: number | null;
  readonly price: ModelPrice | null;
};

/** `list` is for people to choose from; `find` may know more. */
export type ModelCatalogue = ModelDirectory & { find(id: string): ModelEntry | null };

export type CatalogueResult =
  | { readonly outcome: 'ready'; readonly catalogue: ModelCatalogue }
  /** One plain sentence for whoever wrote the configuration. */
  | { readonly outcome: 'fault'; readonly fault: string };

export const SCRIPTED_ID = 'scripted';
const ANTHROPIC_PREFIX = 'anthropic/';

/** What a key offers when the configuration names no model. */
const ANTHROPIC_DEFAULTS: readonly ModelConfig[] = [{ model: 'claude-sonnet-5-5' }];
/** All current models allow at least this much; a longer answer ends with `max_tokens`, which the user sees. */
const MAX_OUTPUT_TOKENS = 16_384;

export function modelCatalogue(config: CatalogueConfig): CatalogueResult {
  const ids = listedIds(config);
  const defaultId = config.defaultModel ?? ids[0];
  if (defaultId === undefined) {
    return {
      outcome: 'fault',
      fault: 'No model is set up: give a key of a provider, or switch the scripted model on.',
    };
  }
  const find = finder(config);
  if (find(defaultId) === null) {
    return {
      outcome: 'fault',
      fault: `The default model ${JSON.stringify(defaultId)} is not set up; there are: ${ids.join(', ')}.`,
    };
  }
  const list = ids.map((id) => ({ id, default: id === defaultId }));
  return { outcome: 'ready', catalogue: { list: () => list, find, defaultId } };
}

function listedIds({ anthropic, scripted }: CatalogueConfig): readonly string[] {
  const models = anthropic === null ? [] : anthropic.models.length > 0 ? anthropic.models : ANTHROPIC_DEFAULTS;
  return [...models.map(({ model }) => `${ANTHROPIC_PREFIX}${model}`), ...(scripted ? [SCRIPTED_ID] : [])];
}

function finder({ clock, anthropic, scripted }: CatalogueConfig): (id: string) => ModelEntry | null {
  const played = scripted ? scriptedEntry(clock) : null;
  const client = anthropic === null ? null : anthropicModel({ ...anthropic, clock });
  const known = new Map((anthropic?.models ?? []).map((model) => [model.model, model]));
  return (id) => {
    if (id === SCRIPTED_ID) return played;
    // What a provider could ever name a model; keeps strangers' strings out of logs and rows.
    if (client === null || !/^anthropic\/[\w.:@/-]{1,200}$/u.test(id)) return null;
    const providerModel = id.slice(ANTHROPIC_PREFIX.length);
    const model = known.get(providerModel);
    const price = model?.price ?? null;
    return {
      id,
      client,
      provider: 'anthropic',
      providerModel,
      maxOutputTokens: model?.maxOutputTokens ?? MAX_OUTPUT_TOKENS,
      contextWindow: model?.contextWindow ?? null,
      price,
      cost: (usage) => costMicros(usage, price),
    };
  };
}

function scriptedEntry(clock: Clock): ModelEntry {
  return {
    id: SCRIPTED_ID,
    client: scriptedModel({ clock }),
    provider: SCRIPTED_ID,
    providerModel: SCRIPTED_ID,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    contextWindow: null,
    price: FREE,
    cost: (usage) => costMicros(usage, FREE),
  };
}
