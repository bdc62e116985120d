-- The feed of an owner's chats without ties, and how far the owner has read each chat.

-- A place in the feed is one chat's, so that a page of it may end anywhere. Commits of before shared places: every chat
-- gets a new one above all that was given, and whoever kept a cursor gets each chat once more.
update chats c set feed_seq = p.place
from (
  select x.id, o.feed_seq + row_number() over (partition by x.owner order by x.feed_seq, x.id) as place
  from chats x join owners o on o.id = x.owner
) p
where c.id = p.id;

update owners o set feed_seq = o.feed_seq + (select count(*) from chats c where c.owner = o.id);

drop index chats_feed;
create unique index chats_feed on chats (owner, feed_seq);

-- The number of the last message that the owner has read. What was there before this column counts as read.
alter table chats add column read_number bigint not null default 0;
update chats set read_number = next_number - 1;
alter table chats alter column read_number drop default;

-- What can be unread: counting the messages behind a number touches nothing else.
create index messages_to_read on messages (chat, number)
  where role <> 'user' and visibility <> 'model' and left_epoch is null;
