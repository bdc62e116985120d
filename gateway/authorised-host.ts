// The host as sessions see it: nothing is done for a client before the node knows of every revocation that was acknowledged
// when the client asked. Commands about access are done here; all others are the host's.

import type { Attached, ChatHost, CommandRequest, Follower, QueryResult } from '../actors/host/api.ts';
import { refusal } from '../actors/chat/command-runner.ts';
import type { CommandReply } from '../actors/ports.ts';
import type { Args } from '../protocol/frames.ts';
import type { ChatId } from '../protocol/ids.ts';
import type { Position } from '../protocol/position.ts';
import { type AccessCommands, isAccessCommand, isAccessQuery } from './access-commands.ts';
import type { AccessGate } from './access-gate.ts';
import type { Bearer } from './authentication.ts';

export class AuthorisedHost implements ChatHost {
  readonly #host: ChatHost;
  readonly #gate: AccessGate;
  readonly #commands: AccessCommands;

  constructor(host: ChatHost, gate: AccessGate, commands: AccessCommands) {
    this.#host = host;
    this.#gate = gate;
    this.#commands = commands;
  }

  async attach(viewer: Bearer, chat: ChatId, cursor: Position | null, follower: Follower): Promise<Attached> {
    const error = await this.#gate.objection(viewer);
    return error === null ? this.#host.attach(viewer, chat, cursor, follower) : { outcome: 'refused', error };
  }

  async command(principal: Bearer, request: CommandRequest): Promise<CommandReply> {
    const error = await this.#gate.objection(principal);
    if (error !== null) return refusal(error);
    return isAccessCommand(request.name)
      ? this.#commands.command(principal, request)
      : this.#host.command(principal, request);
  }

  async query(viewer: Bearer, name: string, args: Args): Promise<QueryResult> {
    const error = await this.#gate.objection(viewer);
    if (error !== null) return { ok: false, error };
    return isAccessQuery(name) ? this.#commands.query(viewer, name, args) : this.#host.query(viewer, name, args);
  }
}
