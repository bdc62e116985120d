// The statements of `AccessStore`.

import { NO_CHAT } from './commands.ts';
import { FENCED } from './transaction.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Numbers of the clock that are read in one go. */
export const REVOCATIONS_MAX = 1_000;
export const USE_NOTED_EVERY_MS = 60 * 60 * 1000;
/** How long a token that is revoked or has ended is still listed. */
export const KEPT_MS = 30 * DAY_MS;

const TOKEN_COLUMNS =
  't.id, t.owner, t.role, t.name, t.created_at, t.expires_at, t.last_used_at, t.revoked_at, t.parent';

export const ASK = `
  select c.seq, ${TOKEN_COLUMNS}, (o.revoked_at is not null) as owner_revoked
  from unnest($1::text[], $2::bytea[]) with ordinality as a (owner, hash, ordinal)
  cross join access_clock c
  left join api_tokens t on t.hash = a.hash
  left join owner_access o on o.owner = coalesce(t.owner, a.owner)
  order by a.ordinal`;

export const CLOCK_NOW = 'select c.seq from access_clock c';

/** The first row tells where the clock stands; it is read in the same moment as the others. */
export const REVOCATIONS = `
  select c.seq as top, null::uuid as token, null::text as owner, null::bigint as seq from access_clock c
  union all
  select null, t.id, null, t.revoked_seq from api_tokens t
  where t.revoked_seq > $1::bigint and t.revoked_seq <= $1::bigint + ${REVOCATIONS_MAX}
  union all
  select null, null, o.owner, o.revoked_seq from owner_access o
  where o.revoked_seq > $1::bigint and o.revoked_seq <= $1::bigint + ${REVOCATIONS_MAX}`;

export const TOKEN = `select ${TOKEN_COLUMNS} from api_tokens t where t.id = $1::uuid`;

function tokensOf(condition: string): string {
  return `
    select ${TOKEN_COLUMNS} from api_tokens t
    where ${condition} and ($1::timestamptz is null or (t.created_at, t.id) < ($1::timestamptz, $2::uuid))
    order by t.created_at desc, t.id desc
    limit $3::integer`;
}

export const TOKENS_OF_ALL = tokensOf('true');
export const TOKENS_OF_OWNER = tokensOf('t.owner = $4::text');

/** Tokens of one owner are created one after the other, so that their number can be limited. */
export const LOCK_OWNER = `
  insert into owner_access (owner, revoked_seq) values ($1::text, 0)
  on conflict (owner) do update set owner = excluded.owner`;

/** First of all, in whatever revokes: revocations come one after the other, in the order of their numbers. */
export const LOCK_CLOCK = 'select c.seq from access_clock c for update';

/** Creating with a token and revoking it exclude each other: either the revocation sees what was made with it, or it is not. */
export const LOCK_TOKEN_FOR_SHARE = `select t.id from api_tokens t where t.id = $1::uuid for share`;
export const LOCK_TOKEN_FOR_UPDATE = `select t.id from api_tokens t where t.id = $1::uuid for no key update`;

/** Keeps the reply and so takes the command's place: a row here is the leave to do the rest of the statement. */
function once(condition = 'true'): string {
  return `
  once as (
    insert into commands (principal, chat, id, name, args_hash, ok, body, created_at, keep_until)
    select $1::text, '${NO_CHAT}'::uuid, $2::uuid, $3::text, $4::bytea, $5::boolean, $6::bytea, $7::timestamptz,
      $8::timestamptz
    where ${FENCED} and ${condition}
    on conflict do nothing
    returning id
  )`;
}

/** The next number, for what is revoked in this statement. */
const CLOCK = `
  clock as (update access_clock set seq = seq + 1 where exists (select from once) returning seq)`;

export const CREATE_TOKEN = `
  with ${once(`
      not exists (select from api_tokens t where t.id = $9::uuid or t.hash = $10::bytea)
      and ($15::uuid is null or exists (select from api_tokens p where p.id = $15::uuid and p.revoked_at is null))
      and $17::bigint > (select count(*) from api_tokens t where t.owner = $11::text)
      and $16::bigint > (
        select count(*) from api_tokens t
        where t.owner = $11::text and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > $7::timestamptz))`)}
  insert into api_tokens (id, hash, owner, role, name, created_at, created_by, parent, expires_at)
  select $9::uuid, $10::bytea, $11::text, $12::principal_role, $13::text, $7::timestamptz, $1::text, $15::uuid,
    $14::timestamptz
  from once
  returning id`;

export const WHY_NOT_CREATED = `
  select
    exists (select from api_tokens t where t.id = $1::uuid or t.hash = $2::bytea) as taken,
    ($3::uuid is not null and not exists (
      select from api_tokens p where p.id = $3::uuid and p.revoked_at is null)) as parent_revoked`;

export const REVOKE_TOKEN = `
  with ${once()}, ${CLOCK}, revoked as (
    update api_tokens t set revoked_at = $7::timestamptz, revoked_seq = c.seq
    from clock c
    where (t.id = $9::uuid or t.parent = $9::uuid) and t.revoked_at is null
  )
  select id from once`;

export const REVOKE_OWNER = `
  with ${once()}, ${CLOCK}, revoked as (
    insert into owner_access (owner, revoked_at, revoked_seq)
    select $9::text, $7::timestamptz, c.seq from clock c
    on conflict (owner) do update set
      revoked_at = coalesce(owner_access.revoked_at, excluded.revoked_at), revoked_seq = excluded.revoked_seq
  )
  select id from once`;

export const RESTORE_OWNER = `
  with ${once()}, restored as (
    update owner_access o set revoked_at = null from once where o.owner = $9::text
  )
  select id from once`;

export const NOTE_USE = `
  update api_tokens set last_used_at = $2::timestamptz
  where id = $1::uuid
    and (last_used_at is null or last_used_at < $2::timestamptz - $3::bigint * interval '1 millisecond')`;

export const PRUNE_TOKENS = `
  delete from api_tokens where id in (
    select t.id from api_tokens t
    where coalesce(t.revoked_at, t.expires_at) < $1::timestamptz
    limit $2::integer)
  returning id`;
