// The contract of the store: the same suite on Postgres and on the embedded database.

import { describe } from 'vitest';

import { accessContract } from './contract-access.ts';
import { activationContract } from './contract-activate.ts';
import { commandContract } from './contract-commands.ts';
import { commitContract } from './contract-commit.ts';
import { feedContract } from './contract-list.ts';
import { readingContract } from './contract-read.ts';
import { treeContract } from './contract-tree.ts';
import type { DatabaseHandle } from './fixture.ts';
import { portContract } from './port-contract.ts';

/** `handle` is called inside tests only, when the database is open. */
export function storeContract(handle: () => DatabaseHandle): void {
  describe('port', () =>
    portContract(
      () => handle().opened.store,
      (chat, node) => handle().raw`update chats set owner_node = ${node} where id = ${chat}`,
    ));
  describe('commit', () => commitContract(handle));
  describe('activate', () => activationContract(handle));
  describe('commands', () => commandContract(handle));
  describe('read', () => readingContract(handle));
  describe('list', () => feedContract(handle));
  describe('access', () => accessContract(handle));
  describe('tree', () => treeContract(handle));
}
