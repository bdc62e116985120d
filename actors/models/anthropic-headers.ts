// The headers of a request to Anthropic: these and no others.

/** The version whose events and errors this adapter knows; a test compares it with the SDK's. */
export const ANTHROPIC_VERSION = '2026-10-21';

export function anthropicHeaders(apiKey: string): Readonly<Record<string, string>> {
  return {
    accept: 'application/json',
    'anthropic-version': ANTHROPIC_VERSION,
    authorization: `Bearer ${apiKey}`,
    'content-type': 'application/json',
    'user-agent': 'parley',
  };
}
