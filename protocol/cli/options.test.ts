import { describe, expect, test } from 'vitest';
import { type Options, type Parsed, parseOptions } from './options.ts';

const ID = '0190a1b2-0000-7000-8000-000000000001';

function options(args: readonly string[], environment = {}): Options {
  const parsed = parseOptions(args, environment);
  if (parsed.kind !== 'options') throw new Error(`expected options: ${JSON.stringify(parsed)}`);
  return parsed.options;
}

function faults(args: readonly string[]): string {
  const parsed: Parsed = parseOptions(args, {});
  return parsed.kind === 'faults' ? parsed.faults.join('\n') : '';
}

describe('options', () => {
  test('[options] without any it is interactive, in a new chat, on the local node', () => {
    expect(options([])).toEqual({
      target: { url: null, token: null, dataDir: '.parley' },
      message: null,
      json: false,
      chat: { kind: 'new' },
      model: null,
      title: null,
      timeoutMs: null,
      tools: false,
      approve: null,
    });
  });

  test('[options] all of them', () => {
    expect(options(['-m', 'hi', '--json', '--model', 'm', '--title', 't', '--timeout', '1.5']).timeoutMs).toBe(1500);
    expect(options(['--chat', ID.toUpperCase()]).chat).toEqual({ kind: 'id', id: ID });
    expect(options(['--last']).chat).toEqual({ kind: 'last' });
    expect(options(['--tools', '-m', 'hi', '--approve', 'none'])).toMatchObject({ tools: true, approve: 'none' });
    expect(options(['--url', 'http://127.0.0.1:1', '--token', 't', '--data-dir', 'd']).target).toEqual({
      url: 'ws://127.0.0.1:1/v1/ws',
      token: 't',
      dataDir: 'd',
    });
  });

  test('[options] the command line wins over the environment', () => {
    const environment = { PARLEY_URL: 'wss://a.example', PARLEY_TOKEN: 'x' };
    expect(options([], environment).target).toMatchObject({ url: 'wss://a.example/v1/ws', token: 'x' });
    expect(options(['--token', 'y'], environment).target.token).toBe('y');
  });

  test('[options] help wins', () => expect(parseOptions(['--help', '--timeout', '-3'], {}).kind).not.toBe('options'));

  test('[options] faults are named, all at once', () => {
    expect(faults(['--nope'])).toMatch(/nope/);
    expect(faults(['hello'])).toMatch(/hello/);
    expect(faults(['--message', ' '])).toMatch(/--message is empty/);
    expect(faults(['--url', 'nowhere', '--token', 't'])).toMatch(/not a WebSocket address/);
    expect(faults(['--url', 'ws://h?token=x', '--token', 't'])).toMatch(/no secret/);
    expect(faults(['--url', 'ws://h'])).toMatch(/--token/);
    expect(faults(['--chat', 'x', '--timeout', '0']).split('\n')).toHaveLength(2);
    expect(faults(['--chat', ID, '--last'])).toMatch(/one of/);
    expect(faults(['--chat', ID, '--model', 'm'])).toMatch(/--model is for a new chat/);
    expect(faults(['--approve', 'all'])).toMatch(/--approve needs --message/);
    expect(faults(['-m', 'hi', '--approve', 'some'])).toMatch(/all or none/);
    expect(faults(['--title', 'x'.repeat(201)])).toMatch(/200 characters/);
  });
});
