// What the fake servers of Anthropic and OpenAI say to the requests of a play, without HTTP: the bodies are those of the
// adapters, the rules and the books of the prompt caches those of the fakes.

import { encodeBlocks, openBlock, promptForm, type OpenBlock } from '../../actors/models/anthropic-blocks.ts';
import { anthropicRequest } from '../../actors/models/anthropic-request.ts';
import { itemsForPrompt } from '../../actors/models/openai-responses-items.ts';
import { responsesRequest } from '../../actors/models/openai-responses-request.ts';
import type { ModelRequest, ProviderBlocks } from '../../actors/ports.ts';
import { PromptCache, ANTHROPIC_CACHE_MINIMUM } from '../../loadtest/fakes/anthropic-cache.ts';
import { promptPrefix, readPrompt, sign } from '../../loadtest/fakes/anthropic-prompt.ts';
import type { CacheTotals } from '../../loadtest/fakes/cache-books.ts';
import { PrefixCache } from '../../loadtest/fakes/prefix-cache.ts';
import { readResponsesRequest, seal } from '../../loadtest/fakes/responses-input.ts';

/** The models of the stage: which protocol each one speaks. */
export const ANTHROPIC_MODEL = 'test-1';

const SECRET = 'fuzz';
const THOUGHT = 'let me think';
/** More than a play asks for. */
const ENTRIES_MAX = 1_000;

export type SaidCall = { readonly id: string; readonly name: string; readonly args: string };
export type Said = { readonly text: string; readonly calls: readonly SaidCall[] };

export class FuzzProviders {
  readonly #anthropic = new PromptCache(ENTRIES_MAX, ANTHROPIC_CACHE_MINIMUM);
  readonly #openai = new PrefixCache(ENTRIES_MAX);

  /** The sentence with which the provider refuses the request; null: it is taken, and its books are kept. */
  refusal(request: ModelRequest): string | null {
    if (request.model === ANTHROPIC_MODEL) {
      const body: unknown = JSON.parse(anthropicRequest(request) ?? 'null');
      const prompt = readPrompt(body, SECRET);
      if (typeof prompt === 'string') return prompt;
      this.#anthropic.account(prompt, body);
      return null;
    }
    const read = readResponsesRequest(responsesBody(request), SECRET);
    if ('status' in read) return read.message;
    this.#openai.account(read.cacheKey, read.prompt);
    return null;
  }

  /** A whole answer with reasoning, as the adapter of the model would keep it. */
  blocks(request: ModelRequest, said: Said): ProviderBlocks | null {
    return request.model === ANTHROPIC_MODEL ? anthropicBlocks(request, said) : openaiItems(said);
  }

  get books(): readonly CacheTotals[] {
    return [this.#anthropic.books.totals, this.#openai.books.totals];
  }
}

function responsesBody(request: ModelRequest): unknown {
  return JSON.parse(JSON.stringify(responsesRequest(request)));
}

function anthropicBlocks(request: ModelRequest, { text, calls }: Said): ProviderBlocks | null {
  const prompt = readPrompt(JSON.parse(anthropicRequest(request) ?? 'null'), SECRET);
  if (typeof prompt === 'string') return encodeBlocks([]);
  const thinking = openBlock({ type: 'thinking', thinking: THOUGHT, signature: '' }, 'thinking');
  thinking.signature = sign(THOUGHT, promptPrefix(prompt), SECRET);
  const blocks: OpenBlock[] = [thinking];
  if (text !== '') blocks.push(openBlock({ type: 'text', text }, 'text'));
  for (const { id, name, args } of calls) {
    const call = openBlock({ type: 'tool_use', id, name, input: {} }, 'tool_use');
    call.inputJson = args;
    blocks.push(call);
  }
  for (const block of blocks) block.ended = true;
  return promptForm(blocks, true);
}

function openaiItems({ text, calls }: Said): ProviderBlocks | null {
  const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: seal(THOUGHT, SECRET) };
  const message = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text, annotations: [] }] };
  const asked = calls.map(({ id, name, args }) => ({ type: 'function_call', call_id: id, name, arguments: args }));
  return itemsForPrompt([reasoning, ...(text === '' ? [] : [message]), ...asked], true);
}
