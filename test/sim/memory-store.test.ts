// The store in memory keeps the contract that the real ones keep: what the simulation finds is true of them too.
import { describe } from 'vitest';
import { must } from '../../protocol/assert.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { newId } from '../storage/fixture.ts';
import { portContract } from '../storage/port-contract.ts';
import { MemoryStore } from './memory-store.ts';
import { MemoryTables } from './memory-tables.ts';

describe('memory store', () => {
  const store = new MemoryStore(new MemoryTables(), newId<NodeId>());
  portContract(
    () => store,
    async (chat, node) => {
      must(store.tables.chats.get(chat), 'it was created').ownerNode = node;
    },
  );
});
