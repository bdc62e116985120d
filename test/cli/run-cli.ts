// Runs the terminal client as a person does: a process of its own, without a terminal.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../tidy/sources.ts';

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

export type Running = {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when standard output or standard error has shown `text`. */
  readonly shows: (text: string) => Promise<void>;
};

export type RunOptions = {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

export function startCli(args: readonly string[], { input, env = {}, cwd = ROOT }: RunOptions = {}): Running {
  const main = join(ROOT, 'protocol/cli/main.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    for (const watch of watchers) watch();
  });
  if (input !== undefined) child.stdin.end(input);
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }));
  });
  const shows = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        if (out.includes(text) || err.includes(text)) resolve();
      };
      watchers.add(watch);
      watch();
      void ended.then((end) => reject(new Error(`ended without showing ${text}: ${JSON.stringify(end)}`)));
    });
  return { child, ended, shows };
}

export function runCli(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return startCli(args, { input: '', ...options }).ended;
}
