// `npm run check`: everything that needs no service, in about a minute on two cores. The steps run side by side; what a step
// printed is shown when it failed.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

type Step = { readonly name: string; readonly command: readonly [string, ...string[]] };
type Outcome = { readonly step: Step; readonly ok: boolean; readonly seconds: string; readonly output: string };

/** A step that takes longer hangs, as a test in an endless loop does. */
const STEP_MAX_MS = 300_000;

const STEPS: readonly Step[] = [
  { name: 'tests', command: ['vitest', 'run', '--project=!service', '--reporter=dot'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
  { name: 'format', command: ['oxfmt', '--check'] },
];

async function main(): Promise<void> {
  const started = performance.now();
  const waiting = [...STEPS];
  const outcomes: Outcome[] = [];
  const worker = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const outcome = await run(step);
      outcomes.push(outcome);
      report(outcome);
    }
  };
  await Promise.all(Array.from({ length: Math.max(2, Math.min(4, availableParallelism())) }, worker));
  const failed = outcomes.filter((outcome) => !outcome.ok).map((outcome) => outcome.step.name);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    failed.length === 0 ? `check passed in ${seconds} s` : `check failed in ${seconds} s: ${failed.join(', ')}`,
  );
  process.exitCode = failed.length === 0 ? 0 : 1;
}

function run(step: Step): Promise<Outcome> {
  const started = performance.now();
  const [file, ...args] = step.command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: STEP_MAX_MS, killSignal: 'SIGKILL' });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    const end = (ok: boolean, output: string): void => {
      resolve({ step, ok, seconds: ((performance.now() - started) / 1000).toFixed(1), output });
    };
    child.on('error', (error) =>
      end(false, `${file} cannot be started (${error.message}): run npm ci, then npm run check`),
    );
    child.on('close', (code) => end(code === 0, Buffer.concat(chunks).toString()));
  });
}

function report({ step, ok, seconds, output }: Outcome): void {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s): ${step.command.join(' ')}`);
  if (!ok) console.log(output.trimEnd());
}

await main();
