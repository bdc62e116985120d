-- Owners, chats and their messages.
-- JSON stands in bytea columns: jsonb refuses NUL, reorders keys and drops the form of numbers.
-- Hot tables have no foreign key to chats: every writer has locked the chat row before, and chats are never deleted.

create type chat_status as enum ('waiting', 'running', 'requires_action', 'stopping', 'error');
create type message_role as enum ('user', 'assistant', 'tool', 'system');
create type message_visibility as enum ('user', 'model', 'both');
create type title_source as enum ('user', 'generated');

create table owners (
  id text primary key,
  -- Incremented in the commit of everything that shows in the owner's list of chats.
  feed_seq bigint not null
);

create table chats (
  id uuid primary key,
  owner text not null references owners (id),
  parent uuid references chats (id),
  root uuid not null references chats (id),
  -- The id of the chats.create that made it, for ever.
  create_command uuid not null,
  status chat_status not null,
  archived boolean not null,
  title text,
  title_source title_source,
  model text not null,
  system_prompt text,
  -- JSON list of strings: the system prompt as the first request sent it.
  fixed_system bytea,
  labels bytea not null,
  last_error bytea,
  -- JSON: how the latest turn that is over has ended.
  last_turn bytea,
  turn bytea,
  next_number bigint not null,
  -- The number of the chat's activation; whoever holds another one cannot write.
  epoch bigint not null,
  -- The incarnation that took `epoch`; null when it was released.
  owner_node uuid,
  -- Last position of the epoch before the next, when that ended in order.
  sealed_epoch bigint,
  sealed_seq bigint,
  wake_at timestamptz,
  -- owners.feed_seq at the last change that shows in the list.
  feed_seq bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  check ((sealed_epoch is null) = (sealed_seq is null))
) with (fillfactor = 80);

create index chats_of_owner on chats (owner, updated_at desc, id desc);
create index chats_of_all on chats (updated_at desc, id desc);
create index chats_feed on chats (owner, feed_seq);
create index chats_of_parent on chats (parent) where parent is not null;
create index chats_running on chats (owner, id) where status in ('running', 'stopping');
create index chats_wake on chats (wake_at) where wake_at is not null;
create unique index chats_of_command on chats (owner, create_command);

-- Never updated but for left_epoch and left_seq, never deleted.
create table messages (
  chat uuid not null,
  number bigint not null check (number > 0),
  -- The id of the command that created it, or one of the server's.
  id uuid not null,
  epoch bigint not null,
  seq bigint not null,
  role message_role not null,
  visibility message_visibility not null,
  content bytea not null,
  content_version smallint not null,
  provider text,
  provider_blocks bytea,
  created_at timestamptz not null,
  created_by text,
  model text,
  turn uuid,
  step integer,
  interrupted boolean not null,
  input_tokens bigint,
  output_tokens bigint,
  cache_read_tokens bigint,
  cache_write_tokens bigint,
  usage_estimated boolean,
  -- Micro-dollars; null is unpriced, 0 is free.
  total_cost_micros bigint,
  -- Where an edit took it out of the chat.
  left_epoch bigint,
  left_seq bigint,
  primary key (chat, number),
  unique (chat, id),
  unique (chat, epoch, seq),
  check ((provider is null) = (provider_blocks is null)),
  check ((left_epoch is null) = (left_seq is null))
);

create index messages_left on messages (chat, left_epoch, left_seq) where left_epoch is not null;

-- Parts of messages that are files.
create table message_files (
  chat uuid not null,
  number bigint not null,
  part integer not null,
  file uuid not null,
  name text not null,
  media_type text not null,
  bytes bigint not null,
  sha256 bytea not null,
  primary key (chat, number, part)
);

create table queued_messages (
  chat uuid not null,
  id uuid not null,
  -- Ascending is the order in which they are taken; whoever goes before all gets one below all.
  position bigint not null,
  content bytea not null,
  content_version smallint not null,
  created_by text not null,
  created_at timestamptz not null,
  primary key (chat, id)
);

create index queued_messages_in_order on queued_messages (chat, position);
