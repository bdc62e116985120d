-- A message that only the model sees is no event: several of them may stand at the position of one commit.
alter table messages drop constraint messages_chat_epoch_seq_key;
create unique index messages_position on messages (chat, epoch, seq) where visibility <> 'model';
