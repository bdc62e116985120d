// A chat that tests begin with.

import type { Chat } from '../content.ts';
import type { ChatId } from '../ids.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057' as ChatId;

export const EXAMPLE_CHAT: Chat = {
  id: ID,
  owner: 'ada',
  parent: null,
  root: ID,
  title: null,
  status: 'running',
  archived: false,
  model: 'scripted',
  last_error: null,
  last_turn: null,
  labels: {},
  created_at: 1,
  updated_at: 1,
};
