import { expect, test } from 'vitest';

import { parseDatabaseUrl } from './database-url.ts';
import { StorageError } from './errors.ts';

test('[open] a URL is read with all its parts', () => {
  expect(parseDatabaseUrl('postgres://me:p%40ss%20word@db.example:6543/chats?sslmode=verify-full')).toEqual({
    host: 'db.example',
    port: 6543,
    path: null,
    database: 'chats',
    user: 'me',
    password: 'p@ss word',
    tls: 'verified',
    embedded: false,
  });
});

test('[open] what is left out has defaults: port 5432, the user’s database, TLS to other machines', () => {
  expect(parseDatabaseUrl('postgresql://me@db.example')).toMatchObject({
    port: 5432,
    database: 'me',
    tls: 'encrypted',
  });
  for (const host of ['localhost', '127.0.0.1', '[::1]']) {
    expect(parseDatabaseUrl(`postgres://me@${host}/d`).tls).toBe('off');
  }
  expect(parseDatabaseUrl('postgres://me@[::1]/d').host).toBe('::1');
  expect(parseDatabaseUrl('postgres://me@127.0.0.1.evil.example/d').tls).toBe('encrypted');
  expect(parseDatabaseUrl('postgres://me@localhost.evil.example/d').tls).toBe('encrypted');
});

test('[open] a Unix socket is named by its folder', () => {
  expect(parseDatabaseUrl('postgres://me@localhost/chats?host=/run/postgresql')).toMatchObject({
    path: '/run/postgresql/.s.PGSQL.5432',
    database: 'chats',
    tls: 'off',
  });
});

test('[open] a bad URL says what is wrong, and never repeats the password', () => {
  const bad = [
    ['', 'begins with postgres://'],
    ['mysql://me:hunter2@host/db', 'begins with postgres://'],
    ['postgres://:hunter2@host/db', 'names no user'],
    ['postgres:///db', 'names no'],
    ['postgres://me:hunter2%@host/db', 'escapes nothing'],
    ['postgres://me:hunter2@host/db?sslmode=maybe', 'sslmode is one of'],
    ['postgres://me:hunter2@host/db?pool=5', 'pool is not known'],
  ] as const;
  for (const [url, why] of bad) {
    expect(() => parseDatabaseUrl(url)).toThrow(StorageError);
    expect(() => parseDatabaseUrl(url)).toThrow(why);
    expect(() => parseDatabaseUrl(url)).not.toThrow('hunter2');
  }
});
