-- Attempts that go on at their provider while their node is gone.

-- The chat's policy, set when it is created.
alter table chats add column background boolean not null default false;

-- The provider's id of what it runs for the attempt; committed before anything of it is shown.
alter table attempts add column provider_ref text;

-- How far into the provider's stream the pack reaches, in the adapter's own words; null where nothing can be resumed.
alter table journal_packs add column provider_cursor text;
