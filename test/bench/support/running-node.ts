// A node under measurement: a child with a database of its own, and a client of the benchmark's own that talks to it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signToken } from '../../../gateway/authentication.ts';
import { ParleyClient } from '../../../protocol/client/index.ts';
import { freePort } from '../../support/port.ts';
import { Child } from './child.ts';

const SECRET = 'a secret that signs the tokens of a benchmark';
const OWNER = 'bench';
const HOUR_MS = 60 * 60 * 1000;

/** What a benchmark asks beyond what a node allows one owner and one address. */
const WIDE_LIMITS = {
  PARLEY_SESSIONS_PER_OWNER: '1000000',
  PARLEY_ADDRESS_CONNECTS_PER_SECOND: '1000000',
  PARLEY_ADDRESS_CONNECTS_BURST: '1000000',
  PARLEY_COMMANDS_PER_SECOND: '1000000',
  PARLEY_COMMANDS_BURST: '1000000',
  PARLEY_OWNER_COMMANDS_PER_SECOND: '1000000',
  PARLEY_OWNER_COMMANDS_BURST: '1000000',
  PARLEY_ATTACHMENTS_PER_OWNER: '1000000',
  PARLEY_OWNER_ACTIVATIONS_PER_SECOND: '1000000',
  PARLEY_OWNER_ACTIVATIONS_BURST: '1000000',
  PARLEY_FRAMES_PER_SECOND: '1000000',
  PARLEY_FRAMES_BURST: '1000000',
};

export type RunningNode = {
  readonly child: Child;
  readonly port: number;
  readonly path: string;
  /** Of the owner of everything. */
  readonly credential: string;
  readonly client: ParleyClient;
  stop(): Promise<void>;
};

export async function startNode(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
  execArgv: readonly string[] = [],
): Promise<RunningNode> {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  const port = await freePort();
  const child = new Child(new URL('node-child.ts', import.meta.url), {
    execArgv,
    env: {
      DATABASE_URL: databaseUrl,
      PARLEY_PORT: String(port),
      PARLEY_DATA_DIR: dataDir,
      PARLEY_JWT_SECRET: SECRET,
      PARLEY_LOG_LEVEL: 'warn',
      ...WIDE_LIMITS,
      ...env,
    },
  });
  const options = { secret: new TextEncoder().encode(SECRET), issuer: null, audience: null };
  const credential = await signToken(options, { subject: OWNER, expiresAtMs: Date.now() + HOUR_MS });
  const path = '/v1/ws';
  const client = new ParleyClient({ url: `ws://127.0.0.1:${port}${path}`, credential, clientName: 'bench' });
  const stop = async (): Promise<void> => {
    client.close();
    await child.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    client.connect();
    await Promise.race([client.ready(), child.ended]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { child, port, path, credential, client, stop };
}
