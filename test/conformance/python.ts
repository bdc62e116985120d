// The Python that runs the conformance client, and what to do where there is none.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, 'main.py');
const SCENARIO_MAX_MS = 150_000;

export type Environment = Readonly<Record<string, string | undefined>>;
export type Scenario = { readonly name: string; readonly title: string };

/** The scenarios of the client, or one line that says how to get what runs them. */
export function listScenarios(environment: Environment = process.env): readonly Scenario[] | string {
  const version = 'import sys; sys.exit(sys.version_info < (3, 11))';
  const found = spawnSync('python3', ['-c', version], { env: environment });
  if (found.error !== undefined || found.status !== 0) {
    return 'These tests need python3, 3.11 or newer. On Debian 12 and newer: apt-get install python3';
  }
  const { stdout, stderr } = spawnSync('python3', ['-B', MAIN, 'list'], { env: environment, encoding: 'utf8' });
  return stdout === '' ? stderr : (JSON.parse(stdout) as readonly Scenario[]);
}

/** Runs the client with one argument; what it said when it failed, else null. */
export async function runClient(argument: string, environment: Environment = {}): Promise<string | null> {
  const listed = listScenarios();
  if (typeof listed === 'string') return listed;
  const child = spawn('python3', ['-B', MAIN, argument], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: SCENARIO_MAX_MS,
    killSignal: 'SIGKILL',
  });
  const said: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0 ? null : `${argument} ended with ${code}:\n${Buffer.concat(said).toString()}`;
}
