-- What the latest request of a chat held, and who named it: a title by the beginning of the first message gives way.
alter type title_source add value 'fallback' before 'generated';

-- Tokens; null: nothing was asked since the chat began, was compacted or cleared.
alter table chats add column context_tokens bigint;
