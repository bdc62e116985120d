// The ledger of calls of tools: how its rows are written with an intent, and how those that are open are loaded.

import type { ToolStatus } from '../protocol/content.ts';
import type { ChatId, TurnId } from '../protocol/ids.ts';
import { must } from '../protocol/assert.ts';
import type { CallRow, CallState, CallWait } from '../actors/tool-ports.ts';
import { Columns } from './columns.ts';
import { UnreadableRow } from './errors.ts';
import { FENCE, LOCKED, type Fence } from './fence.ts';

export const CALL = {
  ...FENCE,
  turn: 'uuid',
  step: 'integer',
  index: 'integer',
  call: 'text',
  name: 'text',
  args: 'bytea',
  key: 'uuid',
  hash: 'text',
  state: 'call_state',
  wait: 'call_wait',
  deadline_at: 'timestamptz',
  status: 'call_status',
  at: 'timestamptz',
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function callCells(
  fence: Fence,
  call: CallRow,
  atMs: number,
): Record<keyof typeof CALL, string | number | boolean | Uint8Array | null> {
  const { turn, step, index, call: id, name, args, key, hash, state } = call;
  return {
    ...fence,
    turn,
    step,
    index,
    call: id,
    name,
    args: encoder.encode(args),
    key,
    hash,
    state,
    wait: state === 'waiting' ? call.wait : null,
    deadline_at: state === 'waiting' ? call.deadlineAtMs : null,
    status: state === 'settled' ? call.status : null,
    at: atMs,
  };
}

/** A call that is settled stays as it is: nothing settles it twice (P7). */
export const WRITE_CALLS = `
  insert into tool_calls (
    chat, turn, step, index, call, name, args, key, hash, state, wait, deadline_at, status, opened_at, settled_at)
  select r.chat, r.turn, r.step, r.index, r.call, r.name, r.args, r.key, r.hash, r.state, r.wait, r.deadline_at, r.status,
    r.at, case when r.state = 'settled' then r.at end
  from ${Columns.source('r', CALL)} ${LOCKED}
  on conflict (chat, turn, step, index) do update set
    state = excluded.state, wait = excluded.wait, deadline_at = excluded.deadline_at, status = excluded.status,
    settled_at = excluded.settled_at
  where tool_calls.state <> 'settled'`;

export type CallDatabaseRow = {
  readonly chat: ChatId;
  readonly turn: TurnId;
  readonly step: number;
  readonly index: number;
  readonly call: string;
  readonly name: string;
  readonly args: Uint8Array;
  readonly key: string;
  readonly hash: string;
  readonly state: CallState['state'];
  readonly wait: CallWait | null;
  readonly deadline_at: number | null;
  readonly status: ToolStatus | null;
};

export function callFromRow(row: CallDatabaseRow): CallRow {
  const { turn, step, index, call, name, key, hash } = row;
  return { turn, step, index, call, name, args: decoder.decode(row.args), key, hash, ...stateFromRow(row) };
}

function stateFromRow({ state, wait, deadline_at, status }: CallDatabaseRow): CallState {
  switch (state) {
    case 'running':
      return { state };
    case 'waiting':
      return {
        state,
        wait: must(wait, 'a call waits for something'),
        deadlineAtMs: must(deadline_at, 'and not for ever'),
      };
    case 'settled':
      return { state, status: must(status, 'a settled call says how') };
    default:
      throw new UnreadableRow('a call in a state that this version of Parley does not know: upgrade it');
  }
}
