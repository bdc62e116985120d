// Starts that cannot be: each says in one line what to do, exits with an error, and harms nothing that is there.

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { OPTIONS } from '../../gateway/config-options.ts';
import { Clients } from '../support/clients.ts';
import { type Exit, NodeProcess, runNode } from '../support/node-process.ts';
import { freePort, listenAnywhere } from '../support/port.ts';
import { administer, createDatabase } from '../support/postgres.ts';

const FAULTY_CONFIG = 2;
const CANNOT_START = 1;
const PASSWORD = 'correct-horse-battery-staple';

const clients = new Clients();
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-refused-'));
});

afterEach(() => clients.closeAll());

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The lines that are meant for a person; a stack trace would be one of them. */
function said({ stderr }: Exit): readonly string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{') && !line.startsWith('npm '));
}

function expectRefused(exit: Exit, code: number, line: RegExp): void {
  expect(said(exit)).toEqual([expect.stringMatching(line)]);
  expect(exit.code).toBe(code);
  // npm repeats its arguments; the node must not.
  const own = (exit.stdout + exit.stderr).replaceAll(/^> .*$/gm, '');
  expect(own).not.toContain(PASSWORD);
}

describe('[misuse] a faulty configuration', () => {
  test('[misuse] --help prints every option and exits 0', async () => {
    const exit = await runNode(['--help']);
    expect([exit.code, said(exit)]).toEqual([0, []]);
    for (const { env, doc } of Object.values(OPTIONS)) {
      expect(exit.stdout).toContain(env);
      expect(exit.stdout).toContain(doc);
    }
  });

  test.each<[string, string[], Record<string, string>, RegExp]>([
    ['an unknown option', ['--prot', '7000'], {}, /^parley: Unknown option --prot\. Did you mean --port\?$/],
    [
      'an unknown variable',
      [],
      { PARLEY_PROT: '7000' },
      /^parley: Unknown variable PARLEY_PROT\. Did you mean PARLEY_PORT\?/,
    ],
    ['a word that is no option', ['serve'], {}, /^parley: "serve" is not an option\./],
    ['a value out of range', ['--port', '99999'], {}, /^parley: --port .* must be a whole number from 0 to 65535/],
    ['a secret as an argument', ['--anthropic-api-key', PASSWORD], {}, /^parley: --anthropic-api-key: secrets are not/],
    [
      'no URL of a database',
      [],
      { DATABASE_URL: `mysql://me:${PASSWORD}@db/x` },
      /^parley: DATABASE_URL cannot be used:|^parley: DATABASE_URL .*postgres:\/\//,
    ],
    [
      'a bad URL of a provider',
      [],
      { ANTHROPIC_BASE_URL: 'ftp://models' },
      /^parley: .*ANTHROPIC_BASE_URL.* must be a URL that begins with http/,
    ],
    ['an address for all without a secret', ['--host', '0.0.0.0'], {}, /^parley: --host .*Set PARLEY_JWT_SECRET/],
    ['a secret that is too short', [], { PARLEY_JWT_SECRET: 'short' }, /^parley: PARLEY_JWT_SECRET must have at least/],
  ])('[misuse] %s', async (_, args, env, line) => {
    expectRefused(await runNode(args, { PARLEY_DATA_DIR: folder, ...env }), FAULTY_CONFIG, line);
  });

  test('[misuse] all faults are reported together', async () => {
    const exit = await runNode(['--prot', '1', '--attempts-max', 'many'], { DATABASE_URL: 'nonsense' });
    expect(said(exit)).toHaveLength(3);
    expect(exit.code).toBe(FAULTY_CONFIG);
  });

  test('[misuse] a model that is not set up', async () => {
    const exit = await runNode(['--default-model', 'gpt-9'], { PARLEY_DATA_DIR: folder });
    expectRefused(
      exit,
      CANNOT_START,
      /^parley: The default model "gpt-9" is not set up; there are: scripted\..*PARLEY_DEFAULT_MODEL/,
    );
  });
});

describe('[misuse] a database that cannot be used', () => {
  test('[misuse] nobody there', async () => {
    const url = `postgres://me:${PASSWORD}@127.0.0.1:${await freePort()}/parley`;
    expectRefused(
      await runNode([], { DATABASE_URL: url, PARLEY_DATA_DIR: folder }),
      CANNOT_START,
      /^parley: .*cannot be reached|^parley: .*DATABASE_URL/i,
    );
  });

  test.each([
    ['a wrong password', (url: URL) => (url.password = PASSWORD), /password/i],
    ['a database that does not exist', (url: URL) => (url.pathname = '/no_such_database'), /no_such_database/],
  ])('[misuse] %s', async (_, change, line) => {
    const url = new URL(inject('postgresUrl'));
    change(url);
    expectRefused(await runNode([], { DATABASE_URL: url.href, PARLEY_DATA_DIR: folder }), CANNOT_START, line);
  });

  test('[misuse] a Postgres that is too old', async () => {
    const url = new URL(inject('postgresUrl'));
    const { version, port, stop } = await agedPostgres(Number(url.port));
    url.port = String(port);
    const exit = await runNode([], { DATABASE_URL: url.href, PARLEY_DATA_DIR: folder });
    await stop();
    expect(version()).toBeGreaterThanOrEqual(15);
    expectRefused(exit, CANNOT_START, /^parley: The database is Postgres 14; Parley needs 15 or newer\. Upgrade it/);
  });

  test('[misuse] a newer schema: refused, untouched, and fine again for the version that knows it', async () => {
    const database = await createDatabase(inject('postgresUrl'), `integration_schema_${process.pid}`);
    const node = await NodeProcess.start({
      env: { DATABASE_URL: database.url, PARLEY_DATA_DIR: join(folder, 'schema') },
    });
    const client = await clients.connect(node.url, node.token);
    const { id } = await client.createChat({ title: 'kept' });
    await node.terminate();
    await administer(database.url, `insert into parley_migrations (number, name) values (999, 'of the future')`);
    const exit = await runNode([], { DATABASE_URL: database.url, PARLEY_DATA_DIR: folder });
    expectRefused(exit, CANNOT_START, /^parley: The database has schema 999, .*Start the newer version/);
    await administer(database.url, 'delete from parley_migrations where number = 999');
    await node.restart();
    await client.ready();
    expect(await client.get(id)).toMatchObject({ title: 'kept' });
    await node.stop();
    await database.drop();
  });

  test('[misuse] another node on the same database: the second one is refused, the first one goes on', async () => {
    const database = await createDatabase(inject('postgresUrl'), `integration_second_${process.pid}`);
    const node = await NodeProcess.start({ env: { DATABASE_URL: database.url } });
    const client = await clients.connect(node.url, node.token);
    const exit = await runNode(['--port', '0'], { DATABASE_URL: database.url, PARLEY_DATA_DIR: folder });
    expectRefused(exit, CANNOT_START, /^parley: Another Parley node uses this database\./);
    await expect(client.createChat()).resolves.toMatchObject({ status: 'waiting' });
    await node.stop();
    const sql = postgres(database.url, { max: 1 });
    expect(await sql`select count(*)::integer as n from chats`).toMatchObject([{ n: 1 }]);
    await sql.end();
    await database.drop();
  });
});

/** A way to the real server on which its `server_version_num` reads as 14.7; `version` is what it was, 0 if never asked. */
async function agedPostgres(
  target: number,
): Promise<{ readonly version: () => number; readonly port: number; readonly stop: () => Promise<void> }> {
  let version = 0;
  const proxy = createServer((client) => {
    const server = connect(target, '127.0.0.1');
    client.pipe(server);
    server.on('data', (data) => {
      // The one column of a row, in text form: its length in 4 bytes, then six digits.
      const aged = data.toString('latin1').replace(/(?<=\0\0\0\u0006)(\d\d)00\d\d/, (_, major: string) => {
        version = Number(major);
        return '140007';
      });
      client.write(aged, 'latin1');
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  const port = await listenAnywhere(proxy);
  const stop = async (): Promise<void> => {
    proxy.close();
    await once(proxy, 'close');
  };
  return { version: () => version, port, stop };
}

describe('[misuse] a place that is taken', () => {
  test('[misuse] the port', async () => {
    const other = createServer();
    const port = await listenAnywhere(other);
    const exit = await runNode([`--port=${port}`], { PARLEY_DATA_DIR: join(folder, 'port') });
    expectRefused(exit, CANNOT_START, new RegExp(`^parley: Port ${port} of 127\\.0\\.0\\.1 is taken .*--port`));
    other.close();
    await once(other, 'close');
  });

  test('[misuse] the data folder: the second start names the first one, which goes on', async () => {
    const node = await NodeProcess.start();
    const client = await clients.connect(node.url, node.token);
    const { id } = await client.createChat({ title: 'mine' });
    const exit = await runNode(['--port', '0'], { PARLEY_DATA_DIR: node.dataDir });
    expectRefused(exit, CANNOT_START, new RegExp(`^parley: The data folder .* is in use by process ${node.pid}\\.`));
    await expect(client.get(id)).resolves.toMatchObject({ title: 'mine' });
    await node.stop();
  });

  test('[misuse] a data folder that is a file', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'not a folder');
    expectRefused(
      await runNode(['--port', '0'], { PARLEY_DATA_DIR: file }),
      CANNOT_START,
      /^parley: .*data folder.*--data-dir|^parley: .*file/i,
    );
  });
});
