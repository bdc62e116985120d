// `npm run cluster`: what it prints is what others start from, and it leaves nothing behind.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { Clients } from '../support/clients.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

const clients = new Clients();
let database: TestDatabase;
let run: ChildProcess;
const lines: string[] = [];
let onLine = (): void => undefined;

beforeAll(async () => {
  database = await createDatabase(inject('postgresUrl'), `cluster_command_${process.pid}`);
  run = spawn('npm', ['run', '-s', 'cluster', '--', '--nodes', '2', '--database-url', database.url], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const output of [run.stdout, run.stderr]) {
    createInterface({ input: must(output, 'it is a pipe') }).on('line', (line) => {
      lines.push(line);
      onLine();
    });
  }
});

afterAll(async () => {
  clients.closeAll();
  if (run.exitCode === null && run.signalCode === null) {
    const closed = once(run, 'close');
    process.kill(-must(run.pid, 'it was started'), 'SIGKILL');
    await closed;
  }
  await database.drop();
});

test('[§7] npm run cluster says where its nodes are, starts a killed one again, and ends all of them', async () => {
  const up = await printed(/^node n1 pid (\d+) (ws:\/\/\S+) metrics (\d+)$/);
  await printed(/^node n2 pid \d+ /);
  const talk = await printed(/^Talk to it: +PARLEY_URL=(\S+) PARLEY_TOKEN=(\S+) npm run chat$/);
  expect(talk[1]).toBe(up[2]);
  const client = await clients.connect(String(talk[1]), String(talk[2]));
  const { id } = await client.createChat({ title: 'in the cluster' });
  expect(lines.some((line) => line.startsWith('[n1] {'))).toBe(true);

  process.kill(Number(up[1]), 'SIGKILL');
  await printed(/^\[n1\] ended with SIGKILL$/);
  const again = await printed(new RegExp(`^node n1 pid (?!${up[1]} )\\d+ .*$`));
  expect(again[0]).toContain(String(up[2]));
  await client.ready();
  expect((await client.get(id)).title).toBe('in the cluster');

  const pids = lines.flatMap((line) => /^node n\d pid (\d+) /.exec(line)?.[1] ?? []);
  const closed = once(run, 'close');
  process.kill(-must(run.pid, 'it was started'), 'SIGINT');
  expect(await closed).toEqual([0, null]);
  expect(pids.filter((pid) => isAlive(Number(pid)))).toEqual([]);
});

async function printed(form: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    for (const line of lines) {
      const match = form.exec(line);
      if (match !== null) return match;
    }
    await new Promise<void>((resolve) => {
      onLine = resolve;
    });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
