// Kills a process in the middle of its commits, and looks at what is there afterwards.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type postgres from 'postgres';
import { expect } from 'vitest';

import { assert } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { CrashOptions } from './crash-child.ts';

const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

/** Chat → the highest number that its commits were acknowledged for. */
export type Acknowledged = ReadonlyMap<ChatId, number>;

/** Runs the child until it dies: by itself, or by SIGKILL after `killAfter` acknowledged commits. */
export async function crash(options: CrashOptions, killAfter: number): Promise<Acknowledged> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const acknowledged = new Map<ChatId, number>();
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  let lines = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [chat, number] = line.split(' ');
    acknowledged.set(chat as ChatId, Number(number));
    lines += 1;
    if (options.dieAtStatement === null && lines === killAfter) child.kill('SIGKILL');
  });
  await once(child, 'close');
  assert(child.signalCode === 'SIGKILL', `the child was killed and did not fail: ${errors}`);
  return acknowledged;
}

/** Every acknowledged commit is there, and each commit is there whole or not at all. */
export async function checkAfterCrash(
  raw: postgres.Sql,
  options: CrashOptions,
  acknowledged: Acknowledged,
): Promise<void> {
  const chats = await raw<{ id: ChatId; next_number: string; numbers: string[]; commands: string }[]>`
    select c.id, c.next_number,
      coalesce((select array_agg(m.number order by m.number) from messages m where m.chat = c.id), '{}') as numbers,
      (select count(*) from commands k join messages m on m.chat = k.chat and m.id = k.id where k.chat = c.id) as commands
    from chats c where c.owner = ${options.owner}`;
  for (const [chat, number] of acknowledged) {
    const found = chats.find((row) => row.id === chat);
    expect(Number(found?.next_number)).toBeGreaterThan(number);
  }
  for (const { numbers, next_number, commands } of chats) {
    expect(numbers.map(Number)).toEqual(numbers.map((_, index) => index + 1));
    expect(Number(next_number)).toBe(numbers.length + 1);
    expect(Number(commands)).toBe(numbers.length);
    // One commit a chat is in flight: at most that one was made and not acknowledged.
  }
  for (const row of chats) {
    expect(row.numbers.length - (acknowledged.get(row.id) ?? 0)).toBeLessThanOrEqual(1);
  }
}

/** A small generator of numbers in [0, below), the same for the same seed (xorshift32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
