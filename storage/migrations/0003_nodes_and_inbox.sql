-- Incarnations of nodes. A row that is dead, or gone, is dead for ever.
create table nodes (
  id uuid primary key,
  registered_at timestamptz not null,
  renewed_at timestamptz not null,
  expires_at timestamptz not null,
  dead_at timestamptz
);

-- What one chat has to tell another, written in the commit of the source and deduplicated by its position there.
create table inbox (
  chat uuid not null,
  source_chat uuid not null,
  source_epoch bigint not null,
  source_seq bigint not null,
  kind text not null,
  body bytea not null,
  body_version smallint not null,
  created_at timestamptz not null,
  primary key (chat, source_chat, source_epoch, source_seq)
);
