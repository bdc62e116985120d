// Nodes among each other, for tests: one database, one nats-server, and as many `npm start` as are wanted.

import postgres from 'postgres';
import { must } from '../../protocol/assert.ts';
import type { ChatId } from '../../protocol/ids.ts';
import { NatsServer } from './nats.ts';
import { NodeProcess } from './node-process.ts';
import { createDatabase, type TestDatabase } from './postgres.ts';

const SECRET = 'a secret of the nodes of one test, long enough';

export type TestClusterOptions = {
  readonly name: string;
  readonly nodes: number;
  /** More variables of the nodes that it starts with, by their place. */
  readonly env?: (node: number) => Readonly<Record<string, string>>;
};

export class TestCluster {
  readonly nats: NatsServer;
  readonly database: TestDatabase;
  readonly nodes: NodeProcess[] = [];

  private constructor(nats: NatsServer, database: TestDatabase) {
    this.nats = nats;
    this.database = database;
  }

  static async start(serverUrl: string, options: TestClusterOptions): Promise<TestCluster> {
    const nats = await NatsServer.start();
    const database = await createDatabase(serverUrl, `cluster_${options.name}_${process.pid}`);
    const cluster = new TestCluster(nats, database);
    try {
      for (let node = 0; node < options.nodes; node++) await cluster.add(options.env?.(node));
      await cluster.joined();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** One more node. */
  async add(env: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start({
      env: {
        DATABASE_URL: this.database.url,
        NATS_URL: this.nats.url,
        PARLEY_JWT_SECRET: SECRET,
        PARLEY_NODE_NAME: `n${this.nodes.length + 1}`,
        PARLEY_METRICS_PORT: '0',
        PARLEY_DRAIN_TIMEOUT_MS: '2000',
        PARLEY_DRAIN_SPREAD_MS: '100',
        ...env,
      },
    });
    this.nodes.push(node);
    return node;
  }

  node(number: number): NodeProcess {
    return must(this.nodes[number], 'there are so many nodes');
  }

  /** Every node hears every other one. */
  async joined(): Promise<void> {
    const others = this.nodes.length - 1;
    for (const node of this.nodes) await node.metric('parley_cluster_peers', (value) => value === others, 'reachable');
  }

  /** Who has the chat, as the database says; null: nobody who is one of the nodes. */
  async ownerOf(chat: ChatId): Promise<NodeProcess | null> {
    const sql = postgres(this.database.url, { max: 1 });
    try {
      const [row] = await sql<{ owner_node: string | null }[]>`select owner_node from chats where id = ${chat}`;
      return this.nodes.find(({ incarnation }) => incarnation === row?.owner_node) ?? null;
    } finally {
      await sql.end();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.database.drop();
    await this.nats.kill();
  }
}
