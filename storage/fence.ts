// What every statement of a batch of intents has in common: it writes for the chats only that the first one has locked.

import { FENCED } from './transaction.ts';

/** Every statement's rows begin with what decides whether they are written. */
export const FENCE = { chat: 'uuid', epoch: 'bigint', unarchived: 'boolean' } as const;
export type Fence = { readonly chat: string; readonly epoch: number; readonly unarchived: boolean };

/** Joins the rows `r` with the chats `c` that the lock gave. */
export const LOCKED = `join chats c on c.id = r.chat and c.epoch = r.epoch and not (r.unarchived and c.archived)
  where ${FENCED}`;
