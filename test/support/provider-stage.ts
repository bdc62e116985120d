// A node of its own in front of a fake model server, for tests of what a provider's failures do to a chat: what it shows, what
// the ledger holds, and that the next message works.

import postgres from 'postgres';
import { expect } from 'vitest';

import type { ChatHandle, ParleyClient, PositionedEvent } from '../../protocol/client/index.ts';
import { Clients } from './clients.ts';
import { NodeProcess } from './node-process.ts';
import { createDatabase } from './postgres.ts';
import { answerText } from './witness.ts';

/** The fakes quote this in their errors, as providers do: it must not get to anybody. */
export const SECRET = 'my secret prompt';
export const ATTEMPTS_MAX = 3;
const SILENCE_MS = 700;

export type StageOptions = {
  readonly postgresUrl: string;
  readonly database: string;
  /** As the ledger names it. */
  readonly provider: string;
  /** What points the node at the fake. */
  readonly env: Readonly<Record<string, string>>;
};

export type Conversation = {
  readonly chat: ChatHandle;
  readonly turn: string;
  readonly events: readonly PositionedEvent[];
};

export type LedgerRow = {
  readonly outcome: string;
  readonly code: string | null;
  /** Since the attempt before was settled. */
  readonly waitedMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly estimated: boolean;
};

export class ProviderStage {
  readonly client: ParleyClient;
  readonly clients: Clients;
  readonly node: NodeProcess;
  readonly #options: StageOptions;
  readonly #sql: postgres.Sql;
  /** A client follows a bounded number of chats: the one before is let go. */
  #followed: ChatHandle | null = null;
  readonly #stops: readonly (() => Promise<unknown>)[];

  private constructor(options: StageOptions, parts: Parts) {
    this.#options = options;
    this.client = parts.client;
    this.clients = parts.clients;
    this.node = parts.node;
    this.#sql = parts.sql;
    this.#stops = parts.stops;
  }

  static async start(options: StageOptions): Promise<ProviderStage> {
    const database = await createDatabase(options.postgresUrl, `${options.database}_${process.pid}`);
    const sql = postgres(database.url, { max: 1, onnotice: () => undefined });
    const node = await NodeProcess.start({
      env: {
        DATABASE_URL: database.url,
        PARLEY_ATTEMPTS_MAX: String(ATTEMPTS_MAX),
        PARLEY_RETRY_BASE_MS: '20',
        PARLEY_RETRY_CEILING_MS: '50',
        PARLEY_STREAM_SILENCE_TIMEOUT_MS: String(SILENCE_MS),
        PARLEY_LOG_LEVEL: 'debug',
        ...options.env,
      },
    });
    const clients = new Clients();
    const client = await clients.connect(node.url, node.token);
    const stops = [() => node.stop(), () => sql.end(), () => database.drop()];
    return new ProviderStage(options, { client, clients, node, sql, stops });
  }

  async stop(): Promise<void> {
    this.clients.closeAll();
    for (const stop of this.#stops) await stop();
  }

  /** A chat in which one message with the directive was sent, and its turn has ended. */
  async converse(directive: string, model?: string): Promise<Conversation> {
    const chat = this.client.chat(
      (await this.client.createChat({ title: directive, ...(model === undefined ? {} : { model }) })).id,
    );
    this.#followed?.detach();
    this.#followed = chat;
    const events: PositionedEvent[] = [];
    chat.onEvent((event) => void events.push(event));
    chat.attach();
    // The fake tells messages apart by their text.
    const { turn } = await chat.send(`In chat ${chat.id} I say ${SECRET}.\nfake: ${directive}`);
    await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
    return { chat, turn, events };
  }

  /** The ledger of a turn, in order: each attempt settled, with what it used. */
  async attempts(turn: string): Promise<readonly LedgerRow[]> {
    const sql = this.#sql;
    const rows = await sql`
      select attempt, outcome, error_code, settled_at, input_tokens, output_tokens, usage_estimated, provider, model,
        coalesce(extract(epoch from opened_at - lag(settled_at) over (order by attempt)) * 1000, 0)::float as waited_ms
      from attempts where turn = ${turn} order by attempt`;
    return rows.map((row, index) => {
      expect(row['attempt']).toBe(index + 1);
      const figures = [row['settled_at'], row['input_tokens'], row['output_tokens'], row['usage_estimated']];
      expect(figures).not.toContain(null);
      expect(row['provider']).toBe(this.#options.provider);
      return {
        outcome: String(row['outcome']),
        code: row['error_code'] as string | null,
        waitedMs: Number(row['waited_ms']),
        inputTokens: Number(row['input_tokens']),
        outputTokens: Number(row['output_tokens']),
        estimated: row['usage_estimated'] === true,
      };
    });
  }
}

type Parts = {
  readonly node: NodeProcess;
  readonly client: ParleyClient;
  readonly clients: Clients;
  readonly sql: postgres.Sql;
  readonly stops: readonly (() => Promise<unknown>)[];
};

/** The next message is answered by a provider that checks how messages pair, and the error is gone. */
export async function expectNext(chat: ChatHandle): Promise<void> {
  const { turn } = await chat.send('fake: tokens=3');
  const state = await chat.until(({ lastTurn }) => lastTurn?.turn === turn);
  expect(state.lastTurn).toEqual({ turn, outcome: 'completed', error: null });
  expect(answerText(state)).toBe(tokens(3));
  expect(state.chat).toMatchObject({ status: 'waiting', last_error: null });
}

export function tokens(count: number): string {
  return Array.from({ length: count }, (_, n) => `token${n + 1} `).join('');
}
