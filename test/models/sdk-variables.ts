// A hostile environment for a provider's SDK: every variable that it reads anywhere, so that a new version with a new one is
// covered without a change.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** `readEnv('X')`, `process.env['X']` and `process.env?.['X']`: the ways in which the SDKs do it. */
const READS = /readEnv\(['"](\w+)['"]\)|process\.env\??\.?\[['"](\w+)['"]\]/gu;

export function variablesOf(sdk: string): readonly string[] {
  const root = path.dirname(createRequire(import.meta.url).resolve(sdk));
  const names = new Set<string>();
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.mjs')) continue;
    const source = readFileSync(path.join(root, file), 'utf8');
    for (const [, called, indexed] of source.matchAll(READS)) names.add(called ?? indexed ?? '');
  }
  return [...names];
}

/** Of OpenAI's, those that it had when this was written. */
export const OPENAI_VARIABLES: readonly string[] = [
  'OPENAI_BASE_URL',
  'OPENAI_API_KEY',
  'OPENAI_ADMIN_KEY',
  'OPENAI_ORG_ID',
  'OPENAI_PROJECT_ID',
  'OPENAI_WEBHOOK_SECRET',
  'OPENAI_LOG',
  'OPENAI_CUSTOM_HEADERS',
];

/** What they are set to; any other is `evil`. */
export const HOSTILE_OPENAI: Readonly<Record<string, string>> = {
  OPENAI_BASE_URL: 'http://127.0.0.1:1/evil',
  OPENAI_LOG: 'debug',
  OPENAI_CUSTOM_HEADERS: [
    'x-evil: evil',
    'authorization: Bearer evil',
    'api-key: evil',
    'OpenAI-Organization: evil',
    'OpenAI-Beta: evil',
    'User-Agent: evil',
    'X-Stainless-Lang: evil',
  ].join('\n'),
};
