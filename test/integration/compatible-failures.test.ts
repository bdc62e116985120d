// Every failure of a server that speaks chat completions, as vLLM does it, whose checks of a prompt are the strictest.

import { expect, test } from 'vitest';

import { startFakeChatCompletions } from '../../loadtest/fakes/chat-completions-server.ts';
import { expectNext } from '../support/provider-stage.ts';
import { answerText } from '../support/witness.ts';
import { HARMLESS_TO_ALL, REFUSED_BY_ALL, RETRIED_BY_ALL, providerFailures } from './provider-suite.ts';

const stage = providerFailures({
  provider: 'compatible',
  startFake: (port) => startFakeChatCompletions({ apiKey: 'test', port }),
  env: (url) => ({
    PARLEY_COMPATIBLE_BASE_URL: `${url}/vllm/v1`,
    PARLEY_COMPATIBLE_API_KEY: 'test',
    PARLEY_COMPATIBLE_MODELS: 'qwen3:8b,meta-llama/Llama-3',
  }),
  retried: [
    ...RETRIED_BY_ALL,
    ['fail=vllm_500', 'model_unavailable', 0],
    ['fail=500@5', 'model_unavailable', 0],
    ['fail=429@5', 'model_rate_limited', 0],
    ['fail=server_error@5', 'model_unavailable', 0],
    ['fail=cut@20', 'model_cut', 0],
  ],
  refused: [
    ...REFUSED_BY_ALL,
    ['fail=quota', 'model_spend_limit', 'failed'],
    ['fail=vllm_404', 'model_not_found', 'failed'],
    ['fail=ollama_404', 'model_not_found', 'failed'],
    ['fail=vllm_too_long', 'context_overflow', 'failed'],
    ['fail=400@5', 'model_bad_request', 'failed'],
    ['calls=1', 'model_bad_request', 'failed'],
    ['calls=3 ids=null', 'model_bad_request', 'failed'],
    ['calls=2 ids=absent', 'model_bad_request', 'failed'],
    ['stop=function_call', 'model_bad_request', 'failed'],
  ],
  harmless: [
    ...HARMLESS_TO_ALL,
    ['ids=null', 'completed'],
    ['ids=absent', 'completed'],
    ['usage=none', 'completed'],
    ['usage=every', 'completed'],
    ['usage=finish', 'completed'],
    ['done=none', 'completed'],
    ['stop=eos', 'completed'],
    ['stop=length', 'max_tokens'],
    ['stop=content_filter', 'refused'],
    ['refusal=1', 'refused'],
  ],
  overloaded: { before: 'fail=529', within: 'fail=overloaded_error@5' },
});

test.each([
  ['usage=last', 20, false],
  ['usage=every', 20, false],
  // A server that never counts: four characters a token.
  ['usage=none', 38, true],
])(
  '[P10] %s: the ledger holds prompt and answer, and says whether they are exact',
  async (words, output, estimated) => {
    const { chat, turn } = await stage().converse(words);
    const [row] = await stage().attempts(turn);
    expect(row).toMatchObject({ outcome: 'completed', outputTokens: output, estimated });
    expect(row?.inputTokens).toBeGreaterThan(50);
    await expectNext(chat);
  },
);

test('[P10] an attempt that was cut is in the ledger with the prompt that was read', async () => {
  const { turn } = await stage().converse('fail=cut@5');
  const [cut, whole] = await stage().attempts(turn);
  expect(cut).toMatchObject({ outcome: 'failed', estimated: true });
  expect(whole).toMatchObject({ outcome: 'completed', estimated: false });
  expect(cut?.inputTokens).toBeGreaterThan(50);
});

test('[models] every model that is listed can be chosen, slashes and all; another one is not there', async () => {
  const { chat } = await stage().converse('tokens=2', 'compatible/meta-llama/Llama-3');
  expect(answerText(chat.state)).toBe('token1 token2 ');
  await expect(stage().client.createChat({ model: 'compatible/other' })).rejects.toThrow('No such model');
});
