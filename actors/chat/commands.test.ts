import { describe, expect, it } from 'vitest';
import { uuidToBytes } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { parseChatArg, parseChatCommand, parseNewChat } from './commands.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const BYTES = uuidToBytes(ID);
const TEXT = { type: 'text', text: 'hello' };

function faultOf(name: string, args: Readonly<Record<string, unknown>>): string | null {
  const parsed = parseChatCommand(name, args);
  return parsed.ok ? null : parsed.error.code;
}

describe('parseChatCommand', () => {
  it('[commands] reads what fits', () => {
    expect(parseChatCommand('chat.send', { content: [TEXT] })).toEqual({
      ok: true,
      value: { name: 'chat.send', parts: [TEXT], busy: 'queue', model: null },
    });
    expect(parseChatCommand('chat.stop', { turn: BYTES })).toEqual({
      ok: true,
      value: { name: 'chat.stop', turn: ID, tree: false },
    });
    expect(parseChatCommand('chat.stop', { tree: true })).toMatchObject({ value: { turn: null, tree: true } });
    expect(parseChatCommand('chat.rename', { title: '  a  ' })).toMatchObject({ value: { title: 'a' } });
  });

  it('[commands] refuses what does not, by the name of the argument', () => {
    const bad: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
      ['chat.send', {}],
      ['chat.send', { content: [] }],
      ['chat.send', { content: 'hello' }],
      ['chat.send', { content: [{ type: 'text', text: '  \n' }] }],
      ['chat.send', { content: [{ type: 'image' }] }],
      ['chat.send', { content: Array.from({ length: LIMITS.partsPerMessage + 1 }, () => TEXT) }],
      ['chat.send', { content: [TEXT], busy: 'whatever' }],
      ['chat.send', { content: [TEXT], model: 7 }],
      ['chat.stop', { turn: ID }],
      ['chat.stop', { turn: new Uint8Array(15) }],
      ['chat.rename', { title: '' }],
      ['chat.rename', { title: 'x'.repeat(LIMITS.titleChars + 1) }],
      ['chat.set_labels', { labels: [] }],
      ['chat.set_labels', { labels: { '': 'x' } }],
      ['chat.set_labels', { labels: { a: 1 } }],
      ['chat.set_labels', { labels: { a: 'x'.repeat(LIMITS.labelValueBytes + 1) } }],
    ];
    expect(bad.map(([name, args]) => faultOf(name, args))).toEqual(bad.map(() => 'bad_args'));
    expect(faultOf('chat.dance', {})).toBe('unknown_command');
  });
});

describe('parseNewChat', () => {
  it('[commands] takes nothing, or everything', () => {
    const nothing = {
      title: null,
      model: null,
      systemPrompt: null,
      labels: {},
      parent: null,
      clientTools: [],
      background: false,
    };
    expect(parseNewChat({})).toEqual({ ok: true, value: nothing });
    const everything = {
      title: 't',
      model: 'm',
      system_prompt: 's',
      labels: { a: 'b' },
      parent: BYTES,
      background: true,
    };
    expect(parseNewChat(everything)).toEqual({
      ok: true,
      value: {
        title: 't',
        model: 'm',
        systemPrompt: 's',
        labels: { a: 'b' },
        parent: ID,
        clientTools: [],
        background: true,
      },
    });
  });

  it('[commands] bounds the system prompt of a chat', () => {
    expect(parseNewChat({ system_prompt: 'x'.repeat(LIMITS.systemPromptChars) }).ok).toBe(true);
    expect(parseNewChat({ system_prompt: 'x'.repeat(LIMITS.systemPromptChars + 1) }).ok).toBe(false);
  });
});

describe('parseChatArg', () => {
  it('[commands] is 16 bytes', () => {
    expect(parseChatArg({ chat: BYTES })).toEqual({ ok: true, value: ID });
    expect(parseChatArg({ chat: ID }).ok).toBe(false);
    expect(parseChatArg({}).ok).toBe(false);
  });
});
