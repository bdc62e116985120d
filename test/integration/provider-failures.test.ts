// Every failure of the Anthropic API: what a chat makes of it.

import { startFakeAnthropic } from '../../loadtest/fakes/anthropic-server.ts';
import { HARMLESS_TO_ALL, REFUSED_BY_ALL, RETRIED_BY_ALL, providerFailures } from './provider-suite.ts';

providerFailures({
  provider: 'anthropic',
  startFake: (port) => startFakeAnthropic({ apiKey: 'test', port }),
  env: (url) => ({ ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: url }),
  retried: [
    ...RETRIED_BY_ALL,
    // An HTTP date knows whole seconds.
    ['fail=429 retry-after-date=2s', 'model_rate_limited', 500],
    ['fail=ramp', 'model_rate_limited', 0],
    ['fail=529 retry-after-ms=250', 'model_overloaded', 250],
    ['fail=rate_limit_error@5', 'model_rate_limited', 0],
    ['fail=api_error@5', 'model_unavailable', 0],
    ['fail=timeout_error@5', 'model_unavailable', 0],
  ],
  refused: [
    ...REFUSED_BY_ALL,
    ['fail=credit', 'model_spend_limit', 'failed'],
    ['fail=spend', 'model_spend_limit', 'failed'],
    ['fail=contract_spend', 'model_spend_limit', 'failed'],
    ['fail=invalid_request_error@5', 'model_bad_request', 'failed'],
    ['fail=authentication_error@5', 'model_unauthorized', 'failed'],
    ['fail=billing_error@5', 'model_spend_limit', 'failed'],
    ['stop=model_context_window_exceeded', 'context_overflow', 'completed'],
    ['stop=tool_use', 'model_bad_request', 'failed'],
  ],
  harmless: [
    ...HARMLESS_TO_ALL,
    ['thinking=5 omitted=1', 'completed'],
    ['thinking=5 redacted=1', 'completed'],
    ['stop=stop_sequence', 'completed'],
    ['stop=max_tokens', 'max_tokens'],
    ['stop=refusal', 'refused'],
  ],
  overloaded: { before: 'fail=529', within: 'fail=overloaded_error@5' },
});
