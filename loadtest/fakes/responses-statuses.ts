// The HTTP failures of the OpenAI API, by the names that directives and tests give them.

import type { Statuses } from './scenario.ts';

/** Bodies as the API gives them. They quote the prompt on purpose: an adapter must not pass them on. */
export const RESPONSES_STATUSES: Statuses = {
  '400': [400, 'invalid_request_error', 'Invalid value for "my secret prompt"', 'invalid_value'],
  too_long: [
    400,
    'invalid_request_error',
    'Your input exceeds the context window of this model. Please adjust your input and try again.',
    'context_length_exceeded',
  ],
  encrypted: [400, 'invalid_request_error', 'my secret prompt could not be verified', 'invalid_encrypted_content'],
  '401': [401, 'invalid_request_error', 'Incorrect API key provided: my secret prompt', 'invalid_api_key'],
  '402': [402, 'invalid_request_error', 'Payment required'],
  '403': [403, 'invalid_request_error', 'Country not supported', 'unsupported_country_region_territory'],
  '404': [404, 'invalid_request_error', 'The model `no-such-model` does not exist', 'model_not_found'],
  '408': [408, 'server_error', 'Request timed out'],
  '409': [409, 'invalid_request_error', 'Conflict'],
  '413': [413, 'invalid_request_error', 'Request too large'],
  '422': [422, 'invalid_request_error', 'Unprocessable'],
  '429': [429, 'requests', 'Rate limit reached for requests', 'rate_limit_exceeded'],
  tokens: [429, 'tokens', 'Rate limit reached for tokens', 'rate_limit_exceeded'],
  quota: [429, 'insufficient_quota', 'You exceeded your current quota, check your plan', 'insufficient_quota'],
  billing: [400, 'invalid_request_error', 'Billing hard limit has been reached', 'billing_hard_limit_reached'],
  '500': [500, 'server_error', 'The server had an error while processing your request', 'server_error'],
  '502': [502, 'server_error', 'Bad gateway'],
  '503': [503, 'server_error', 'Service unavailable'],
  slow_down: [503, 'service_unavailable_error', 'Slow down', 'slow_down'],
  '504': [504, 'server_error', 'Gateway timeout'],
  '529': [529, 'overloaded_error', 'Overloaded'],
};
