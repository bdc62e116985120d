// The host as the sessions see it, with what they ask of it counted.

import type { Attached, ChatHost, CommandRequest, Follower, QueryResult } from '../actors/host/api.ts';
import { isQueryName } from '../actors/host/queries.ts';
import { isCommandName } from '../actors/chat/commands.ts';
import type { CommandReply, Principal } from '../actors/ports.ts';
import type { Tracer } from '../actors/tracing.ts';
import { decodeBody } from '../protocol/codec.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { Args } from '../protocol/frames.ts';
import type { ChatId } from '../protocol/ids.ts';
import type { Histogram } from '../protocol/measures.ts';
import type { Position } from '../protocol/position.ts';
import { parseError } from '../protocol/wire-content.ts';
import { isAccessCommand, isAccessQuery } from './access-commands.ts';
import type { GatewayCounts } from './counts.ts';

export class CountedHost implements ChatHost {
  readonly #host: ChatHost;
  readonly #counts: GatewayCounts;
  readonly #tracer: Tracer;

  constructor(host: ChatHost, counts: GatewayCounts, tracer: Tracer) {
    this.#host = host;
    this.#counts = counts;
    this.#tracer = tracer;
  }

  async attach(viewer: Principal, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached> {
    const attached = await this.#host.attach(viewer, chat, cursor, follower);
    this.#counts.replays.add(attached.outcome);
    if (attached.outcome !== 'snapshot') return attached;
    const { nextPiece } = attached;
    return {
      ...attached,
      nextPiece: () => {
        const piece = nextPiece();
        if (piece !== null) this.#counts.snapshotPieces += 1;
        return piece;
      },
    };
  }

  async command(principal: Principal, request: CommandRequest): Promise<CommandReply> {
    const beganMs = performance.now();
    // Names of a client's own making must not become series.
    const name = isCommandName(request.name) || isAccessCommand(request.name) ? request.name : 'unknown';
    const span = this.#tracer.begin('command', request.trace ?? null, { name, 'parley.command': request.id });
    // What the client is told of a bug that threw.
    let outcome: ErrorCode | 'ok' = 'internal';
    try {
      const reply = await this.#host.command(principal, { ...request, trace: span.at });
      outcome = reply.ok ? 'ok' : errorCode(reply.body);
      return reply;
    } finally {
      span.end(outcome, outcome === 'internal' || outcome === 'unavailable');
      this.#counts.commands.add(`${name} ${outcome}`);
      observeSince(this.#counts.commandSeconds, beganMs);
    }
  }

  async query(viewer: Principal, name: string, args: Args): Promise<QueryResult> {
    const beganMs = performance.now();
    const result = await this.#host.query(viewer, name, args);
    const known = isQueryName(name) || isAccessQuery(name) ? name : 'unknown';
    this.#counts.queries.add(`${known} ${result.ok ? 'ok' : result.error.code}`);
    observeSince(this.#counts.querySeconds, beganMs);
    return result;
  }
}

function errorCode(body: Uint8Array): ErrorCode {
  return parseError(decodeBody(body)).code;
}

function observeSince(histogram: Histogram, beganMs: number): void {
  histogram.observe((performance.now() - beganMs) / 1000);
}
