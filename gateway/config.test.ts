import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../protocol/assert.ts';
import { type Config, type Environment, readConfig } from './config.ts';
import { flagName, type OptionName, OPTIONS } from './config-options.ts';

const SECRET = 's'.repeat(32);

function faults(args: readonly string[], environment: Environment = {}): readonly string[] {
  const result = readConfig(args, environment);
  return result.outcome === 'faults' ? result.faults : [];
}

function config(args: readonly string[], environment: Environment = {}): Config {
  const result = readConfig(args, environment);
  if (result.outcome !== 'config') throw new Error(JSON.stringify(result));
  return result.config;
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-config-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('reading', () => {
  test('[gateway] a flag wins over its variable, a variable over the default, an empty variable is not set', () => {
    expect(config([]).port).toBe(7077);
    expect(config([], { PARLEY_PORT: '1' }).port).toBe(1);
    expect(config(['--port', '2'], { PARLEY_PORT: '1' }).port).toBe(2);
    expect(config(['--port=3']).port).toBe(3);
    expect(config([], { PARLEY_PORT: '', DATABASE_URL: '' })).toMatchObject({ port: 7077, databaseUrl: null });
  });

  test('[gateway] what nobody set is told apart from what somebody set to the default', () => {
    const result = readConfig(['--port', '7077'], {});
    expect(result.outcome === 'config' && result.defaulted.has('port')).toBe(false);
    expect(result.outcome === 'config' && result.defaulted.has('host')).toBe(true);
  });

  test('[gateway] the result is frozen', () => {
    expect(Object.isFrozen(config([]))).toBe(true);
  });

  test('[gateway] lists are split at commas', () => {
    const hosts = config([], { PARLEY_ALLOWED_HOSTS: 'a.example, b.example,' });
    expect(hosts.allowedHosts).toEqual(['a.example', 'b.example']);
  });

  test('[gateway] figures of models are pairs; the last = divides, for names may hold one', () => {
    const read = config([], { PARLEY_CONTEXT_WINDOWS: 'compatible/qwen3:8b=32768, scripted=2000' });
    expect([...read.contextWindows]).toEqual([
      ['compatible/qwen3:8b', 32_768],
      ['scripted', 2_000],
    ]);
    expect([...config([]).compactionThresholds]).toEqual([]);
    for (const value of ['scripted', 'scripted=', '=5', 'scripted=0', 'scripted=101', 'a b=5']) {
      expect(faults([], { PARLEY_COMPACTION_THRESHOLDS: value })).toHaveLength(1);
    }
  });

  test('[gateway] the system prompt comes as text or from a file, within 128 KiB', () => {
    const file = join(folder, 'prompt.txt');
    writeFileSync(file, 'Be brief.');
    expect(config(['--system-prompt-file', file]).systemPrompt).toBe('Be brief.');
    expect(config([], { PARLEY_SYSTEM_PROMPT: 'Be kind.' }).systemPrompt).toBe('Be kind.');
    expect(faults(['--system-prompt-file', file, '--system-prompt', 'x'])).toEqual([
      expect.stringMatching(/^Set only one of/),
    ]);
    expect(faults(['--system-prompt-file', join(folder, 'none')])).toEqual([
      expect.stringMatching(/cannot be read \(ENOENT\)/),
    ]);
    writeFileSync(file, 'é'.repeat(64 * 1024 + 1));
    expect(faults(['--system-prompt-file', file])).toEqual([expect.stringMatching(/must hold at most 128 KiB/)]);
  });
});

describe('faults', () => {
  test('[gateway] all faults are reported together, one line each', () => {
    const found = faults(['--prot', '1', '--port=abc', 'stray', '--host', '0.0.0.0', '--data-dir'], {
      PARLEY_JWT_SECERT: 'x',
      DATABASE_URL: 'mysql://root:hunter2@h/db',
      PARLEY_LOG_LEVEL: 'loud',
      PARLEY_RETRY_BASE_MS: '5000',
      PARLEY_RETRY_CEILING_MS: '1000',
      PARLEY_ALLOWED_ORIGINS: 'app.example',
    });
    expect(found).toEqual([
      'Unknown option --prot. Did you mean --port?',
      expect.stringMatching(/^"stray" is not an option/),
      expect.stringMatching(/^--data-dir needs a value: --data-dir=<folder>/),
      expect.stringMatching(/^Unknown variable PARLEY_JWT_SECERT. Did you mean PARLEY_JWT_SECRET\?/),
      '--port (PARLEY_PORT) must be a whole number from 0 to 65535, not "abc".',
      expect.stringMatching(/^DATABASE_URL cannot be used/),
      expect.stringMatching(
        /^--log-level \(PARLEY_LOG_LEVEL\) must be one of error, warn, info, debug, silent, not "loud"\.$/,
      ),
      expect.stringMatching(/^--allowed-origins .* must be origins/),
      expect.stringMatching(/^--host \(PARLEY_HOST\) 0\.0\.0\.0 can be reached from elsewhere/),
      expect.stringMatching(/^--retry-base-ms .* must not be above --retry-ceiling-ms/),
    ]);
    expect(found.every((line) => !line.includes('\n'))).toBe(true);
  });

  test('[gateway] an option that nothing resembles is not guessed at', () => {
    expect(faults(['--frobnicate'])).toEqual(['Unknown option --frobnicate. See --help.']);
  });

  test('[gateway] variables that an orchestrator makes of the name are no faults', () => {
    const environment = {
      PARLEY_SERVICE_HOST: '10.0.0.1',
      PARLEY_PORT_7077_TCP: 'tcp://10.0.0.1:7077',
      PARLEY_URL: 'x',
    };
    expect(faults([], environment)).toEqual([]);
  });

  test('[gateway] off loopback a secret is required, and a development token is never an answer', () => {
    expect(faults(['--host', '0.0.0.0'])).toEqual([
      expect.stringMatching(/Set PARLEY_JWT_SECRET or PARLEY_JWKS_URL, or listen on 127\.0\.0\.1/),
    ]);
    expect(faults(['--host', '::'])).toHaveLength(1);
    expect(faults(['--host', 'localhost.evil.example'])).toHaveLength(1);
    expect(faults(['--host', '0.0.0.0'], { PARLEY_JWT_SECRET: SECRET })).toEqual([]);
    expect(faults(['--host', '0.0.0.0'], { PARLEY_JWKS_URL: 'https://id.example/keys' })).toEqual([]);
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1']) expect(faults(['--host', host])).toEqual([]);
  });

  test('[gateway] a compatible server and its models are set together, its URL as far as /v1', () => {
    const url = 'http://127.0.0.1:11434/v1';
    const models = 'qwen3:8b, meta-llama/Llama-3';
    expect(config([], { PARLEY_COMPATIBLE_BASE_URL: url, PARLEY_COMPATIBLE_MODELS: models })).toMatchObject({
      compatibleBaseUrl: url,
      compatibleModels: ['qwen3:8b', 'meta-llama/Llama-3'],
      compatibleApiKey: null,
      compatibleMaxOutputTokens: null,
    });
    expect(faults(['--compatible-base-url', url])).toEqual([
      expect.stringMatching(/^--compatible-base-url .* needs the names of its models: set --compatible-models/),
    ]);
    expect(faults(['--compatible-models', models])).toEqual([
      expect.stringMatching(/^--compatible-models .* set --compatible-base-url/),
    ]);
    expect(faults([], { PARLEY_COMPATIBLE_API_KEY: 'hunter2' })).toEqual([
      expect.stringMatching(/^PARLEY_COMPATIBLE_API_KEY .* set --compatible-base-url/),
    ]);
    expect(faults(['--compatible-base-url', `${url}/chat/completions`, '--compatible-models', 'm'])).toEqual([
      expect.stringMatching(/must end before \/chat\/completions, usually in \/v1, not "/),
    ]);
    expect(faults(['--compatible-base-url', url, '--compatible-models', 'a b'])).toEqual([
      expect.stringMatching(/^--compatible-models .* must be names such as qwen3:8b, separated by commas/),
    ]);
    expect(faults(['--compatible-base-url', 'localhost:11434', '--compatible-models', 'm'])).toHaveLength(1);
  });

  test('[gateway] a key set comes by https only, loopback or not', () => {
    for (const url of ['http://id.example/keys', 'http://127.0.0.1/keys', 'file:///keys', 'id.example/keys']) {
      expect(faults([], { PARLEY_JWKS_URL: url })).toEqual([expect.stringMatching(/begins with https:\/\//)]);
    }
    expect(faults([], { PARLEY_JWKS_CA_FILE: 'ca.pem' })).toEqual([expect.stringMatching(/is for --jwks-url/)]);
  });

  test('[gateway] secrets are not taken as arguments and not repeated in faults', () => {
    const given = faults(['--jwt-secret=hunter2', '--anthropic-api-key', 'hunter2'], {
      PARLEY_JWT_SECRET: 'hunter2',
      DATABASE_URL: 'hunter2',
    });
    expect(given).toHaveLength(4);
    expect(given.join('\n')).not.toContain('hunter2');
  });
});

describe('help', () => {
  test('[gateway] it names every option with its variable, default, unit and doc, and goes before every fault', () => {
    const result = readConfig(['--prot', '--help'], { PARLEY_PORT: 'x' });
    const text = result.outcome === 'help' ? result.text : '';
    const names = Object.keys(OPTIONS) as OptionName[];
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) {
      const option = OPTIONS[name];
      const at = text.indexOf(
        option.secret ? `${option.env}=<${option.unit}>` : `--${flagName(name)} <${option.unit}>`,
      );
      expect(at, name).toBeGreaterThan(0);
      const [, doc = '', byDefault = ''] = text.slice(at).split('\n');
      expect(text.slice(at)).toContain(option.env);
      expect(doc.trim()).toBe(option.doc);
      expect(byDefault.trim()).toBe(
        `Default: ${option.default === null || option.default === '' ? 'not set' : option.default}.`,
      );
    }
  });

  test('[gateway] every default is valid, every doc is one sentence or a few, no variable is named twice', () => {
    const options = Object.values(OPTIONS);
    expect(new Set(options.map((option) => option.env)).size).toBe(options.length);
    for (const option of options) {
      expect(option.doc).toMatch(/^[A-Z].*\.$/);
      if (option.default !== null)
        expect(option.schema.safeParse(must(option.default, 'it is there')).success).toBe(true);
    }
  });
});
