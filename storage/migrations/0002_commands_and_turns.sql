-- What makes commands take effect once, what a crash of a node needs, and the ledger of attempts.

-- `chat` is the zero UUID for commands without a chat.
create table commands (
  principal text not null,
  chat uuid not null,
  id uuid not null,
  name text not null,
  args_hash bytea not null,
  ok boolean not null,
  -- The reply as it was first encoded: a retry gets the same bytes.
  body bytea not null,
  created_at timestamptz not null,
  keep_until timestamptz not null,
  primary key (principal, chat, id)
);

create index commands_of_chat on commands (chat, created_at desc)
  where chat <> '00000000-0000-0000-0000-000000000000';
create index commands_to_prune on commands (keep_until);

-- Streamed blocks of the open attempt, until the message that holds them is committed.
create table journal_packs (
  chat uuid not null,
  epoch bigint not null,
  seq bigint not null,
  turn uuid not null,
  step integer not null,
  attempt integer not null,
  pack integer not null,
  entries bytea not null,
  primary key (chat, epoch, seq)
);

create type attempt_outcome as enum ('completed', 'failed', 'aborted', 'lost');

create table attempts (
  id uuid primary key,
  chat uuid not null,
  epoch bigint not null,
  node uuid,
  turn uuid not null,
  step integer not null,
  attempt integer not null,
  -- What it was for: turn, compaction, title.
  purpose text not null,
  provider text not null,
  model text not null,
  opened_at timestamptz not null,
  settled_at timestamptz,
  outcome attempt_outcome,
  error_code text,
  request_id text,
  input_tokens bigint,
  output_tokens bigint,
  cache_read_tokens bigint,
  cache_write_tokens bigint,
  usage_estimated boolean,
  -- Micro-dollars; null is unpriced, 0 is free.
  total_cost_micros bigint,
  check ((settled_at is null) = (outcome is null))
);

create index attempts_open on attempts (chat) where settled_at is null;

-- Events of that epoch behind that seq are void: shown to somebody, and lost in a crash.
create table retractions (
  chat uuid not null,
  epoch bigint not null,
  seq bigint not null,
  primary key (chat, epoch)
);
