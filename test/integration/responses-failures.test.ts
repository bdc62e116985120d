// Every failure of OpenAI's Responses API: what a chat makes of it.

import { startFakeResponses } from '../../loadtest/fakes/responses-server.ts';
import { HARMLESS_TO_ALL, REFUSED_BY_ALL, RETRIED_BY_ALL, providerFailures } from './provider-suite.ts';

providerFailures({
  provider: 'openai',
  startFake: (port) => startFakeResponses({ apiKey: 'test', port }),
  env: (url) => ({ OPENAI_API_KEY: 'test', OPENAI_BASE_URL: `${url}/v1` }),
  retried: RETRIED_BY_ALL,
  refused: [
    ...REFUSED_BY_ALL,
    ['fail=quota', 'model_spend_limit', 'failed'],
    ['fail=billing', 'model_spend_limit', 'failed'],
    ['fail=insufficient_quota@5', 'model_spend_limit', 'failed'],
    ['fail=context_length_exceeded@5', 'context_overflow', 'failed'],
    ['stop=function_call', 'model_bad_request', 'failed'],
    ['stop=failed code=invalid_prompt', 'model_bad_request', 'failed'],
  ],
  harmless: [
    ...HARMLESS_TO_ALL,
    ['thinking=5 omitted=1', 'completed'],
    ['stop=max_output_tokens', 'max_tokens'],
    ['stop=content_filter', 'refused'],
    ['stop=refusal', 'refused'],
  ],
  overloaded: { before: 'fail=slow_down', within: 'fail=server_is_overloaded@5' },
});
