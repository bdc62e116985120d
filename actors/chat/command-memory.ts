// The commands that an actor has seen: what makes a retry get the first reply, and a duplicate in flight join the first.
//
// It starts with what storage kept of the last 24 h. As long as nothing had to be left out it answers "never applied"
// by itself; once something was, an unknown id has to be looked up (`complete` is false).

import type { CommandId, OwnerId } from '../../protocol/ids.ts';
import type { CommandReply, CommandRow } from '../ports.ts';
import type { Tally } from '../../protocol/measures.ts';
import type { EvictionLimit } from './counted-limits.ts';
import { CHAT_LIMITS } from './settings.ts';

/** `ended`: the actor ended before the outcome was known; whoever waits asks the next one. */
export type CommandOutcome = CommandReply | 'ended';

type Known = { readonly name: string; readonly argsHash: Uint8Array; readonly outcome: Promise<CommandOutcome> };

export class CommandMemory {
  readonly #known = new Map<string, Known>();
  readonly #evictions: Tally<EvictionLimit>;
  #complete: boolean;

  constructor(rows: readonly CommandRow[], complete: boolean, evictions: Tally<EvictionLimit>) {
    this.#complete = complete;
    this.#evictions = evictions;
    // Rows come newest first; insertion order is age, so that the oldest leaves first.
    for (const row of [...rows].reverse()) this.add(row, Promise.resolve(row.reply));
  }

  get complete(): boolean {
    return this.#complete;
  }

  find(principal: OwnerId, id: CommandId): Known | undefined {
    return this.#known.get(key(principal, id));
  }

  add(command: Pick<CommandRow, 'principal' | 'id' | 'name' | 'argsHash'>, outcome: Promise<CommandOutcome>): void {
    this.#known.set(key(command.principal, command.id), { name: command.name, argsHash: command.argsHash, outcome });
    if (this.#known.size <= CHAT_LIMITS.rememberedCommands + CHAT_LIMITS.mailbox) return;
    const oldest = this.#known.keys().next();
    if (!oldest.done) this.#known.delete(oldest.value);
    this.#complete = false;
    this.#evictions.add('rememberedCommands');
  }

  /** Forgets a command whose outcome is not kept: a retry is decided anew. */
  forget(principal: OwnerId, id: CommandId): void {
    this.#known.delete(key(principal, id));
  }
}

/** Whether a retry is the same command: same name, same bytes of arguments. */
export function isSameCommand(
  a: Pick<CommandRow, 'name' | 'argsHash'>,
  b: Pick<CommandRow, 'name' | 'argsHash'>,
): boolean {
  return (
    a.name === b.name &&
    a.argsHash.length === b.argsHash.length &&
    a.argsHash.every((byte, i) => byte === b.argsHash[i])
  );
}

function key(principal: OwnerId, id: CommandId): string {
  return `${id} ${principal}`;
}
