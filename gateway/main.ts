// `npm start`: reads the configuration, starts the node, stops it on SIGTERM and SIGINT.
//
// Exit codes: 0 after a graceful stop or --help, 1 when the node cannot start or go on, 2 for a faulty configuration.

import { AssertionError } from '../protocol/assert.ts';
import { StorageError } from '../storage/errors.ts';
import { startNode, type RunningNode } from './compose.ts';
import { type ConfigResult, readConfig } from './config.ts';
import { ignoreProxies } from './config-environment.ts';
import { createLogger, type Logger } from './logger.ts';
import { StartError } from './start-error.ts';
import { welcomeText } from './welcome.ts';

type Configured = ConfigResult & { readonly outcome: 'config' };

/** A start that takes longer says that it goes on. */
const SILENT_START_MS = 1_500;

/** npm hands the Ctrl-C on that the terminal gave to the node already: what follows so closely is the same wish. */
const SAME_SIGNAL_MS = 1_000;

ignoreProxies();
await main(readConfig(process.argv.slice(2)));

async function main(result: ConfigResult): Promise<void> {
  switch (result.outcome) {
    case 'help':
      process.stdout.write(result.text);
      return;
    case 'faults':
      process.stderr.write(`${result.faults.map((fault) => `parley: ${fault}`).join('\n')}\n`);
      process.exitCode = 2;
      return;
    case 'config':
      await run(result);
  }
}

async function run(configured: Configured): Promise<void> {
  const logger = createLogger(configured.config.logLevel);
  guardProcess(logger);
  const stopping = Promise.withResolvers<number>();
  listenToSignals(logger, () => stopping.resolve(0));
  let node: RunningNode;
  const slow = setTimeout(() => {
    process.stdout.write(
      'Parley is still starting: a first start sets the database up, a node that was killed is waited for.\n',
    );
  }, SILENT_START_MS);
  try {
    node = await startNode(configured.config, {
      logger,
      onFatal: (error) => {
        logger.error('the node cannot go on', { error });
        process.stderr.write(`parley: ${error.message}\n`);
        stopping.resolve(1);
      },
    });
  } catch (error) {
    process.stderr.write(`parley: ${startFault(error)}\n`);
    process.exit(1);
  }
  clearTimeout(slow);
  process.stdout.write(welcomeText(configured, node));
  const code = await stopping.promise;
  await node.stop();
  logger.info('node down', { code });
  process.exit(code);
}

/** One line; the stack only for what should not have happened. */
function startFault(error: unknown): string {
  if (error instanceof StartError || error instanceof StorageError) return error.message;
  if (error instanceof AssertionError || !(error instanceof Error)) return `a bug: ${String(error)}`;
  return `the node does not start: ${error.stack ?? error.message}`;
}

/** The first signal asks for a graceful stop, the second one for the end. */
function listenToSignals(logger: Logger, stop: () => void): void {
  let asked: { readonly signal: string; readonly atMs: number } | null = null;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const atMs = performance.now();
      if (asked === null) {
        asked = { signal, atMs };
        logger.info('node stopping', { signal });
        stop();
      } else if (signal !== asked.signal || atMs - asked.atMs > SAME_SIGNAL_MS) {
        process.exit(1);
      }
    });
  }
}

/** A node with an error that nobody caught is in an unknown state: it ends, its chats are recovered by the next one. */
function guardProcess(logger: Logger): void {
  process.on('uncaughtException', (error: unknown) => {
    logger.error('uncaught exception', { error });
    process.exit(1);
  });
  process.on('unhandledRejection', (error: unknown) => {
    logger.error('unhandled rejection', { error });
    process.exit(1);
  });
  // A reader of our output that went away is no reason to end.
  process.stdout.on('error', () => {});
}
