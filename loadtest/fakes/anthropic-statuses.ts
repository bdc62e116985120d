// The HTTP failures of the Anthropic API, by the names that directives and tests give them.

import type { Statuses } from './scenario.ts';

/** Bodies as the API gives them. They quote the prompt on purpose: an adapter must not pass them on. */
export const ANTHROPIC_STATUSES: Statuses = {
  '400': [400, 'invalid_request_error', 'messages.0.content: "my secret prompt" is not valid'],
  too_long: [400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'],
  credit: [400, 'invalid_request_error', 'Your credit balance is too low to access the Anthropic API.'],
  '401': [401, 'authentication_error', 'invalid x-api-key'],
  '402': [402, 'billing_error', 'there is an issue with your billing information'],
  '403': [403, 'permission_error', 'the key may not use this resource'],
  '404': [404, 'not_found_error', 'model: no-such-model'],
  '408': [408, 'timeout_error', 'request timed out'],
  '409': [409, 'conflict_error', 'conflict'],
  '413': [413, 'request_too_large', 'request exceeds the maximum size'],
  '422': [422, 'invalid_request_error', 'unprocessable'],
  '429': [429, 'rate_limit_error', 'this request would exceed the rate limit'],
  ramp: [429, 'rate_limit_error', 'usage grows too fast', 'ramp_limit_exceeded'],
  spend: [429, 'rate_limit_error', 'the spend limit is reached', 'enforced_spend_limit_reached'],
  contract_spend: [429, 'rate_limit_error', 'the contract limit is reached', 'contract_spend_limit_reached'],
  '500': [500, 'api_error', 'internal server error'],
  '502': [502, 'api_error', 'bad gateway'],
  '503': [503, 'api_error', 'service unavailable'],
  '504': [504, 'timeout_error', 'gateway timeout'],
  '529': [529, 'overloaded_error', 'Overloaded'],
};
