// The store in memory keeps the contract that the real ones keep: what the simulation finds is true of them too.
import { describe } from 'vitest';
import type { NodeId } from '../../protocol/ids.ts';
import { newId } from '../storage/fixture.ts';
import { portContract } from '../storage/port-contract.ts';
import { MemoryStore } from './memory-store.ts';
import { MemoryTables } from './memory-tables.ts';

describe('memory store', () => {
  const store = new MemoryStore(new MemoryTables(), newId<NodeId>());
  portContract(() => store);
});
