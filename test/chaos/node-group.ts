// The nodes of a chaos run: real processes on one database, each known by a name and, as long as it lives, by its incarnation.

import { randomBytes } from 'node:crypto';
import { assert } from '../../protocol/assert.ts';
import type { Urls } from '../../loadtest/recorder/recorded-socket.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/port.ts';
import { readMetric } from './metric.ts';

export type GroupOptions = {
  readonly count: number;
  readonly urls: Urls;
  /** Of each node; `i` counts from 0. */
  readonly env: (i: number) => Readonly<Record<string, string>>;
};

export class GroupNode {
  readonly name: string;
  readonly process: NodeProcess;
  readonly metricsUrl: string;
  /** Whether clients should go there. */
  isUp = true;

  constructor(name: string, process: NodeProcess, metricsUrl: string) {
    this.name = name;
    this.process = process;
    this.metricsUrl = metricsUrl;
  }

  /** Its incarnation in storage: that of its start, until it says that it has registered anew. */
  get id(): string {
    const anew = [...this.process.stderr.matchAll(/"incarnation":"([0-9a-f-]{36})"/g)].at(-1);
    return anew?.[1] ?? this.process.incarnation;
  }
}

/** What a run asks beyond what a node allows one owner and one address. */
export const WIDE_LIMITS = Object.fromEntries(
  [
    ['PARLEY_SESSIONS_PER_OWNER', 'PARLEY_SESSIONS_PER_ADDRESS', 'PARLEY_ATTACHMENTS_PER_OWNER'],
    ['PARLEY_ADDRESS_CONNECTS_PER_SECOND', 'PARLEY_ADDRESS_CONNECTS_BURST'],
    ['PARLEY_COMMANDS_PER_SECOND', 'PARLEY_COMMANDS_BURST'],
    ['PARLEY_OWNER_COMMANDS_PER_SECOND', 'PARLEY_OWNER_COMMANDS_BURST'],
    ['PARLEY_OWNER_ACTIVATIONS_PER_SECOND', 'PARLEY_OWNER_ACTIVATIONS_BURST'],
  ]
    .flat()
    .map((name) => [name, '1000000'] as const),
);

export class NodeGroup {
  readonly nodes: readonly GroupNode[];
  readonly #urls: Urls;

  private constructor(nodes: readonly GroupNode[], urls: Urls) {
    this.nodes = nodes;
    this.#urls = urls;
  }

  static async start({ count, urls, env }: GroupOptions): Promise<NodeGroup> {
    const secret = randomBytes(32).toString('hex');
    const started: NodeProcess[] = [];
    const one = async (i: number): Promise<GroupNode> => {
      const metricsPort = await freePort();
      const process = await NodeProcess.start({
        env: {
          ...WIDE_LIMITS,
          PARLEY_JWT_SECRET: secret,
          PARLEY_LOG_LEVEL: 'info',
          PARLEY_METRICS_PORT: String(metricsPort),
          ...env(i),
        },
      });
      started.push(process);
      const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
      return new GroupNode(`node ${i + 1}`, process, metricsUrl);
    };
    const results = await Promise.allSettled(Array.from({ length: count }, (_, i) => one(i)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      await Promise.all(started.map((process) => process.stop()));
      throw failed.reason;
    }
    const nodes = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const group = new NodeGroup(nodes, urls);
    group.#announce();
    return group;
  }

  get up(): readonly GroupNode[] {
    return this.nodes.filter(({ isUp }) => isUp);
  }

  /** A credential that all of them take. */
  tokenFor(subject: string): Promise<string> {
    const [first] = this.nodes;
    assert(first !== undefined, 'there is a node');
    return first.process.tokenFor(subject);
  }

  async kill(node: GroupNode): Promise<void> {
    this.#down(node);
    await node.process.kill();
  }

  /** The line of a node is gone, or it is there again: clients go elsewhere meanwhile. */
  setUp(node: GroupNode, isUp: boolean): void {
    node.isUp = isUp;
    this.#announce();
  }

  /** SIGTERM; resolves when it is gone. */
  async terminate(node: GroupNode): Promise<void> {
    this.#down(node);
    await node.process.terminate();
  }

  /** Starts again, as a new incarnation, and takes clients when it is up. */
  async restart(node: GroupNode, env: Readonly<Record<string, string>> = {}): Promise<void> {
    await node.process.restart(env);
    node.isUp = true;
    this.#announce();
  }

  /** SIGSTOP or SIGCONT, to the node itself. */
  signal(node: GroupNode, signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(node.process.pid, signal);
  }

  /** The sum of a metric's samples over the nodes that are up; those whose labels hold `label` when it is given. */
  async metric(name: string, label = ''): Promise<number> {
    const values = await Promise.all(this.up.map(({ metricsUrl }) => readMetric(metricsUrl, name, label)));
    return values.reduce((sum, value) => sum + value, 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.stop()));
  }

  #down(node: GroupNode): void {
    node.isUp = false;
    this.#announce();
  }

  /** While none is up clients knock at all of them. */
  #announce(): void {
    const reachable = this.up.length > 0 ? this.up : this.nodes;
    this.#urls.set(reachable.map(({ process }) => process.url));
  }
}
