-- Until when a message that waits is held for whoever edits it.
alter table queued_messages add column held_until timestamptz;

-- The model of the latest request; null before the first one. Another one breaks the prefix that its provider has cached.
alter table chats add column prompt_model text;
