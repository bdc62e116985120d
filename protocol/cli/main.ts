// The terminal client: `npm run chat`.
import { EXIT_INTERRUPTED, EXIT_TIMEOUT, explain, Failure } from './connect.ts';
import { HELP } from './help.ts';
import { runInteractive } from './interactive.ts';
import { runOneShot } from './one-shot.ts';
import { type Options, parseOptions } from './options.ts';
import { styleFor } from './style.ts';
import { formatDelay, type Line } from './wording.ts';

const EXIT_USAGE = 2;

process.exitCode = await main();
// What is left open (a closing socket, the keyboard) must not hold the process; what was written must get out.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit();

async function main(): Promise<number> {
  // Whoever reads our output has left, as `head` does.
  process.stdout.on('error', () => process.exit(0));
  const errorStyle = styleFor(process.env, process.stderr.isTTY);
  const say = ({ tone, text }: Line): void => void process.stderr.write(`${errorStyle.tone(tone, text)}\n`);
  const parsed = parseOptions(process.argv.slice(2), process.env);
  if (parsed.kind === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (parsed.kind === 'faults') {
    for (const fault of parsed.faults) say({ tone: 'error', text: fault });
    say({ tone: 'plain', text: 'npm run chat -- --help lists the options.' });
    return EXIT_USAGE;
  }
  try {
    await run(parsed.options, say);
    return 0;
  } catch (error) {
    say({ tone: 'error', text: explain(error) });
    return error instanceof Failure ? error.exitCode : 1;
  }
}

async function run(options: Options, say: (line: Line) => void): Promise<void> {
  const { message } = options;
  const style = styleFor(process.env, process.stdout.isTTY);
  const write = (text: string): void => void process.stdout.write(text);
  if (message === null) return runInteractive(options, { input: process.stdin, output: process.stdout, style, say });
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort(new Failure('Interrupted.', EXIT_INTERRUPTED));
  };
  process.on('SIGINT', interrupt);
  const timer =
    options.timeoutMs === null
      ? null
      : setTimeout(() => controller.abort(timedOut(options.timeoutMs ?? 0)), options.timeoutMs);
  try {
    const isTerminal = process.stdout.isTTY && !options.json;
    await runOneShot({ ...options, message }, { write, say, isTerminal, style, signal: controller.signal });
  } finally {
    if (timer !== null) clearTimeout(timer);
    process.off('SIGINT', interrupt);
  }
}

function timedOut(timeoutMs: number): Failure {
  return new Failure(
    `No complete reply within ${formatDelay(timeoutMs)}; the turn goes on without this client.`,
    EXIT_TIMEOUT,
  );
}
