import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { lockFolder } from './lock.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-lock-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A process that takes the lock and holds it, or says why not. */
function holder(): { readonly child: ReturnType<typeof spawn>; readonly said: Promise<string> } {
  const lock = fileURLToPath(new URL('./lock.ts', import.meta.url));
  const program = `import { lockFolder } from ${JSON.stringify(lock)};
    try {
      globalThis.held = lockFolder(${JSON.stringify(folder)});
      console.log('held');
      process.stdin.resume();
    } catch (error) {
      console.log(error.kind);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const said = new Promise<string>((resolve) => {
    child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
    child.stderr.once('data', (data: Buffer) => resolve(`error: ${data.toString()}`));
  });
  return { child, said };
}

test('[embedded] the lock is held once in a process, and free after its release', () => {
  const first = lockFolder(folder);
  expect(() => lockFolder(folder)).toThrow(`in use by process ${process.pid}`);
  // Looking at the lock did not give it away.
  expect(() => lockFolder(folder)).toThrow('in use');
  first.release();
  first.release();
  lockFolder(folder).release();
});

test('[embedded] the kernel frees the lock of a process that was killed', async () => {
  const { child, said } = holder();
  expect(await said).toBe('held');
  expect(() => lockFolder(folder)).toThrow(`in use by process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'close');
  lockFolder(folder).release();
});

test('[embedded] of several processes that start at once exactly one gets it, without a warning of Node’s', async () => {
  const holders = Array.from({ length: 4 }, () => holder());
  const said = await Promise.all(holders.map((one) => one.said));
  expect(said.toSorted()).toEqual(['folder_in_use', 'folder_in_use', 'folder_in_use', 'held']);
  for (const { child } of holders) {
    const closed = child.exitCode === null ? once(child, 'close') : null;
    child.kill('SIGKILL');
    await closed;
  }
});
