// The administrator's command line as people start it: `npm run -s admin -- …`.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const ROOT = new URL('../../', import.meta.url).pathname;

export type AdminResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** `env` is all that it gets of the environment, besides the path. */
export async function admin(args: readonly string[], env: Readonly<Record<string, string>>): Promise<AdminResult> {
  const options = { cwd: ROOT, env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env } };
  try {
    const { stdout, stderr } = await promisify(execFile)('npm', ['run', '-s', 'admin', '--', ...args], options);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as AdminResult;
    return { code, stdout, stderr };
  }
}

/** With `--json`; throws what it said when it could not be done. */
export async function adminJson(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, unknown>>> {
  const { code, stdout, stderr } = await admin([...args, '--json'], env);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}
