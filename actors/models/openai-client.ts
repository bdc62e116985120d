// The official OpenAI SDK as the adapters of this folder use it, for OpenAI and for whoever speaks its protocols.

import OpenAI from 'openai';

import type { ModelRequest, StepSink } from '../ports.ts';
import { guardedFetch } from './guarded-fetch.ts';
import { HEADERS_TIMEOUT_MS, SILENT_LOGGER } from './sdk-options.ts';

export type OpenAiAccess = {
  /** Null: the server wants none (many a local one); no header is sent then. */
  readonly apiKey: string | null;
  readonly baseUrl: string;
};

export const OPENAI_BASE_URL = 'https://api.openai.com/v1';
/** Where this API puts the id of a request. */
export const OPENAI_REQUEST_ID = 'x-request-id';

/**
 * A client for one attempt, since its `fetch` reports to that attempt's sink (connections are shared all the same).
 * Every option is given: what is left out, the SDK reads from the environment. `fetch` drops its headers for ours, those
 * of `OPENAI_CUSTOM_HEADERS` among them, against which there is no option.
 */
export function openAiClient(
  { apiKey, baseUrl }: OpenAiAccess,
  { trace }: Pick<ModelRequest, 'trace'>,
  sink: Pick<StepSink, 'activity'>,
): OpenAI {
  const headers = {
    accept: 'application/json',
    ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
    'content-type': 'application/json',
    'user-agent': 'parley',
  };
  return new OpenAI({
    // The SDK refuses to be without one.
    apiKey: apiKey ?? 'none',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL: baseUrl,
    dataResidency: null,
    timeout: HEADERS_TIMEOUT_MS,
    maxRetries: 0,
    defaultHeaders: {},
    defaultQuery: {},
    fetchOptions: {},
    dangerouslyAllowBrowser: false,
    logLevel: 'off',
    logger: SILENT_LOGGER,
    workloadIdentity: undefined,
    x509Transport: undefined,
    credential: undefined,
    provider: undefined,
    fetch: guardedFetch({ headers, trace, activity: () => sink.activity() }),
  });
}
