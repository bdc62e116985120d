// What the database says of who writes to which chat, for the history: looked at all the time, and in full at the end.

import postgres from 'postgres';
import { SYSTEM_CLOCK } from '../../protocol/client/environment.ts';
import type { ChatId } from '../../protocol/ids.ts';
import type { Recorder } from '../../loadtest/recorder/recorder.ts';

export type Owned = {
  readonly id: ChatId;
  readonly epoch: number;
  readonly node: string | null;
  readonly isRunning: boolean;
};

/** An attempt, with what may say why nobody settled it. */
type Unsettled = {
  readonly chat: ChatId;
  readonly turn: string;
  readonly purpose: string;
  readonly epoch: number;
  readonly openedAt: Date;
  readonly chatEpoch: number;
  readonly status: string;
  readonly node: string | null;
  readonly lives: boolean;
  readonly wakeAt: Date | null;
  readonly queued: number;
};

const LOOK_EVERY_MS = 250;

export class StorageWatch {
  readonly #sql: postgres.Sql;
  readonly #recorder: Recorder;
  /** What was written down of each chat: only changes are. */
  readonly #known = new Map<ChatId, string>();
  #cancel = (): void => {};
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(url: string, recorder: Recorder) {
    this.#recorder = recorder;
    this.#sql = postgres(url, { max: 2, onnotice: () => undefined, types: { bigint: NUMBERS } });
  }

  start(): void {
    this.#cancel = SYSTEM_CLOCK.after(LOOK_EVERY_MS, () => {
      this.#looking = this.look().then(
        () => undefined,
        // It is the faults' to keep the database away.
        () => undefined,
      );
      void this.#looking.then(() => {
        if (!this.#stopped) this.start();
      });
    });
  }

  /** Every chat with its owner, as of now. */
  async look(): Promise<readonly Owned[]> {
    const rows = await this.#sql<Owned[]>`
      select id, epoch, owner_node as node, status in ('running', 'stopping') as "isRunning" from chats`;
    for (const { id, epoch, node } of rows) {
      const text = `${epoch} ${node}`;
      if (this.#known.get(id) === text) continue;
      this.#known.set(id, text);
      this.#recorder.add({ type: 'owner', at: Date.now(), chat: id, epoch, node });
    }
    return rows;
  }

  /** Incarnations that have renewed in time. */
  async liveNodes(): Promise<readonly string[]> {
    const rows = await this.#sql<{ id: string }[]>`
      select id from nodes where dead_at is null and expires_at >= clock_timestamp()`;
    return rows.map(({ id }) => id);
  }

  /** How often rows of chats and messages were looked for since the server began to count. */
  async scans(): Promise<number> {
    const [row] = await this.#sql<{ scans: number }[]>`
      select sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::bigint as scans
      from pg_stat_user_tables where relname in ('chats', 'messages')`;
    return row?.scans ?? 0;
  }

  /** Writes down who opened attempts under which epoch, and where messages stand; gives what was left behind, in words. */
  async end(): Promise<readonly string[]> {
    await this.look();
    const attempts = await this.#sql<{ chat: ChatId; epoch: number; node: string | null }[]>`
      select distinct chat, epoch, node from attempts order by chat, epoch`;
    for (const attempt of attempts) this.#recorder.add({ type: 'attempt', ...attempt });
    const rows = await this.#sql<{ chat: ChatId; places: [number, number, number][] }[]>`
      select chat, json_agg(json_build_array(number, epoch, seq) order by number) as places from messages group by chat`;
    for (const { chat, places } of rows) this.#recorder.add({ type: 'rows', chat, places });
    return this.#remains();
  }

  async #remains(): Promise<readonly string[]> {
    const open = await this.#sql<Unsettled[]>`
      select a.chat, a.turn, a.purpose, a.epoch, a.opened_at as "openedAt", c.epoch as "chatEpoch", c.status,
        c.owner_node as node, n.dead_at is null as lives, c.wake_at as "wakeAt",
        (select count(*) from queued_messages q where q.chat = c.id)::int as queued
      from attempts a join chats c on c.id = a.chat left join nodes n on n.id = c.owner_node where a.settled_at is null`;
    const running = await this.#sql<{ id: ChatId; status: string }[]>`
      select id, status from chats where status in ('running', 'stopping')`;
    return [
      ...open.map((attempt) => `an attempt that nobody settled: ${JSON.stringify(attempt)}`),
      ...running.map((chat) => `a chat that still runs: ${JSON.stringify(chat)}`),
    ];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#looking;
    await this.#sql.end();
  }
}

/** Positions and counts are far below 2^53. */
const NUMBERS = { to: 20, from: [20], serialize: (value: number) => String(value), parse: Number };
