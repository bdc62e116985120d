-- What providers sent goes back to them from this number of a message on. A provider that refuses its own reasoning moves it
-- behind the last message: of those before only what was shown is sent.
alter table chats add column reasoning_from bigint not null default 0;
