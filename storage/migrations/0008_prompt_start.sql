-- Where prompts begin: the last row with `starts_prompt` that has not left the chat is the first one that the model sees.
-- A clear and the summary of a compaction are such rows; an edit that takes one out gives the one before its place back.
alter table messages add column starts_prompt boolean not null default false;

create index messages_start_prompt on messages (chat, number) where starts_prompt and left_epoch is null;
