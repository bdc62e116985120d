-- The ledger of calls of tools: each is settled exactly once, whoever has the chat by then.
create type call_state as enum ('running', 'waiting', 'settled');
create type call_wait as enum ('result', 'approval');
create type call_status as enum ('ok', 'error', 'denied', 'timeout', 'interrupted', 'unknown');

create table tool_calls (
  chat uuid not null,
  turn uuid not null,
  step integer not null,
  -- The call's place in its step: ids of providers may repeat.
  index integer not null,
  call text not null,
  name text not null,
  -- Raw JSON as the model wrote it: kept as bytes, because it may be cut anywhere.
  args bytea not null,
  -- The idempotency key of all runs of the call.
  key uuid not null,
  -- Of the arguments and the tool's definition: what an approval holds for.
  hash text not null,
  state call_state not null,
  wait call_wait,
  deadline_at timestamptz,
  status call_status,
  opened_at timestamptz not null,
  settled_at timestamptz,
  primary key (chat, turn, step, index),
  check ((state = 'waiting') = (wait is not null)),
  check ((state = 'waiting') = (deadline_at is not null)),
  check ((state = 'settled') = (status is not null)),
  check ((state = 'settled') = (settled_at is not null))
);

create index tool_calls_open on tool_calls (chat) where state <> 'settled';

-- What clients run, as they declared it at creation; what the owner has allowed for good; the tools of the latest request.
alter table chats add column client_tools bytea;
alter table chats add column allowed_tools bytea;
alter table chats add column tools_hash text;

alter table queued_messages add column steer boolean not null default false;
