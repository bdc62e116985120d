// `npm run cluster -- --nodes 3`: a cluster on this machine, to look at. Ctrl-C stops all of it.

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { signToken } from '../../gateway/authentication.ts';
import { NatsServer } from '../support/nats.ts';
import { start as startPostgres } from '../support/postgres.ts';
import { LocalCluster } from './local-cluster.ts';

const HELP = `Starts a cluster on this machine, each node a process of its own, and logs what they say under their names.

Usage: npm run cluster -- [options]

  --nodes <number>        How many. Default: 3.
  --database-url <URL>    A Postgres of yours. Default: a private one, gone with the cluster.
  --nats-url <URL>        A NATS server of yours. Default: a private one (needs nats-server on the PATH).
  --port <number>         Of the first node; the others follow. Default: free ones.
  --no-restart            A node that ends stays away. Default: it is started again, as a supervisor would.
  --help                  This text.

When a node is up, also again, one line says so:  node n1 pid 4711 ws://127.0.0.1:40001/v1/ws metrics 40002
The nodes share PARLEY_JWT_SECRET: that of the environment, else one that is made up.
Ctrl-C stops all.
`;

const DAY_MS = 24 * 60 * 60 * 1000;
const NODES_MAX = 16;

type Options = {
  readonly nodes: number;
  readonly databaseUrl: string | null;
  readonly natsUrl: string | null;
  readonly port: number | null;
  readonly restart: boolean;
};

await main();

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(HELP);
    return;
  }
  if (typeof options === 'string') {
    process.stderr.write(`cluster: ${options}\n`);
    process.exitCode = 2;
    return;
  }
  const undo: (() => Promise<void>)[] = [];
  const stopping = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  try {
    await run(options, undo, stopping);
  } catch (error) {
    process.stderr.write(`cluster: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

async function run(options: Options, undo: (() => Promise<void>)[], stopping: Promise<void>): Promise<void> {
  const databaseUrl = options.databaseUrl ?? (await privatePostgres(undo));
  const natsUrl = options.natsUrl ?? (await privateNats(undo));
  const jwtSecret = process.env['PARLEY_JWT_SECRET'] ?? randomBytes(32).toString('hex');
  const cluster = await LocalCluster.start({
    ...options,
    databaseUrl,
    natsUrl,
    jwtSecret,
    onLine: (name, line) => process.stderr.write(`[${name}] ${line}\n`),
    onUp: ({ name, pid, url, metricsPort }) => {
      process.stdout.write(`node ${name} pid ${pid} ${url} metrics ${metricsPort}\n`);
    },
  });
  undo.push(() => cluster.stop());
  const [first] = cluster.nodes;
  const keys = { secret: new TextEncoder().encode(jwtSecret), issuer: null, audience: null };
  const token = await signToken(keys, { subject: 'developer', expiresAtMs: Date.now() + DAY_MS });
  process.stdout.write(
    `\nThe cluster is up: ${cluster.nodes.length} nodes on ${withoutPassword(databaseUrl)} and ${withoutPassword(natsUrl)}.\n` +
      `Talk to it:  PARLEY_URL=${first?.url ?? ''} PARLEY_TOKEN=${token} npm run chat\n` +
      'Stop it with Ctrl-C.\n\n',
  );
  await stopping;
  process.stdout.write('The cluster goes down.\n');
}

async function privatePostgres(undo: (() => Promise<void>)[]): Promise<string> {
  const server = await startPostgres();
  undo.push(() => server.stop());
  return server.url;
}

async function privateNats(undo: (() => Promise<void>)[]): Promise<string> {
  const server = await NatsServer.start();
  undo.push(() => server.kill());
  return server.url;
}

/** A text says what is wrong. */
function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        nodes: { type: 'string', default: '3' },
        'database-url': { type: 'string' },
        'nats-url': { type: 'string' },
        port: { type: 'string' },
        'no-restart': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return 'help';
    const nodes = Number(values.nodes);
    if (!Number.isSafeInteger(nodes) || nodes < 1 || nodes > NODES_MAX) return `--nodes: 1 to ${NODES_MAX}.`;
    const port = values.port === undefined ? null : Number(values.port);
    if (port !== null && (!Number.isSafeInteger(port) || port < 1 || port > 65_000)) return '--port: 1 to 65000.';
    return {
      nodes,
      databaseUrl: values['database-url'] ?? null,
      natsUrl: values['nats-url'] ?? null,
      port,
      restart: !values['no-restart'],
    };
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)} See --help.`;
  }
}

function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = '';
  return parsed.href;
}
