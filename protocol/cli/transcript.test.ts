import { expect, test } from 'vitest';
import { EXAMPLE_CHAT } from '../vectors/example.ts';
import { listChats } from './transcript.ts';

test('[cli] the list says how much there is to read', () => {
  const chats = [0, 3, 100, null].map((unread) => ({ ...EXAMPLE_CHAT, status: 'waiting' as const, read: 0, unread }));
  const lines = listChats(chats, EXAMPLE_CHAT.id, EXAMPLE_CHAT.updated_at);
  expect(lines.map((action) => (action.kind === 'line' ? /just now(.*) {2}/.exec(action.text)?.[1] : null))).toEqual([
    '',
    ' · 3 new',
    ' · 100 or more new',
    '',
  ]);
});
