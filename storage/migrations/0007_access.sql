-- Who may come in: API tokens, and owners that were shut out.
-- Nodes learn of revocations by their numbers: a revocation takes the next one in its own transaction, under the lock of
-- the one row of access_clock, so that numbers become visible in their order and none is skipped.

create type principal_role as enum ('member', 'auditor', 'admin');

create table access_clock (
  single boolean primary key check (single),
  seq bigint not null
);

insert into access_clock (single, seq) values (true, 0);

create table api_tokens (
  id uuid primary key,
  -- SHA-256 of the token: the token itself is nowhere.
  hash bytea not null unique check (length(hash) = 32),
  owner text not null,
  role principal_role not null,
  name text,
  created_at timestamptz not null,
  created_by text not null,
  -- The token that it was made with, if it was: revoked together with that one.
  parent uuid,
  expires_at timestamptz,
  -- Coarse: not written at each use.
  last_used_at timestamptz,
  revoked_at timestamptz,
  revoked_seq bigint,
  check ((revoked_at is null) = (revoked_seq is null))
);

create index api_tokens_of_owner on api_tokens (owner, created_at desc, id desc);
create index api_tokens_of_all on api_tokens (created_at desc, id desc);
create index api_tokens_of_parent on api_tokens (parent) where parent is not null;
create index api_tokens_revoked on api_tokens (revoked_seq) where revoked_seq is not null;
create index api_tokens_over on api_tokens (coalesce(revoked_at, expires_at)) where coalesce(revoked_at, expires_at) is not null;

-- Owners that have, or had, a token or a revocation.
create table owner_access (
  owner text primary key,
  -- Null: may come in.
  revoked_at timestamptz,
  -- Of the latest revocation; it stays when the owner is restored. 0: there was none.
  revoked_seq bigint not null
);

create index owner_access_revoked on owner_access (revoked_seq);
