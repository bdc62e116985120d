-- What the nodes of this database sign their messages to each other with, unless they were given a key. One row.
create table cluster_key (
  one boolean primary key check (one),
  key bytea not null check (octet_length(key) >= 16)
);
