-- The trace of the command that sent the message (a W3C traceparent): its turn goes on under it, whenever that begins.
alter table queued_messages add column trace text;
