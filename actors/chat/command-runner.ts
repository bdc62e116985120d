// Runs the commands of one actor: each takes effect once, and its reply is in the commit of its effect (P3).

import { createHash } from 'node:crypto';
import { encodeBody } from '../../protocol/codec.ts';
import { wireChat, wireError } from '../../protocol/wire-content.ts';
import { assert, unreachable } from '../../protocol/assert.ts';
import { errorBody, type ErrorBody } from '../../protocol/errors.ts';
import { uuidV7Ms } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { TraceParent } from '../../protocol/trace-parent.ts';
import type { CommandRequest } from '../host/api.ts';
import type { ChatRecord, CommandReply, CommandRow, Principal } from '../ports.ts';
import type { ChatActor } from './actor.ts';
import { CommandMemory, isSameCommand, type CommandOutcome } from './command-memory.ts';
import { answerCall } from './call-answers.ts';
import { afterCalls, denyWaiting, interruptWaiting } from './tool-calls.ts';
import { parseChatCommand, type ChatCommand } from './commands.ts';
import type { Draft, Reply, RowOf } from './draft.ts';
import { askForEdit, askForQueue, type Asked } from './edits.ts';
import { heldUntil, isFull } from './queue.ts';
import { nameChat } from './title.ts';
import { ARCHIVE_TRIES, setArchived, type Family } from './archive.ts';

type Pending = {
  readonly principal: Principal;
  readonly request: CommandRequest;
  readonly argsHash: Uint8Array;
  readonly trace: TraceParent | null;
};

export class CommandRunner {
  readonly #actor: ChatActor;
  readonly #memory: CommandMemory;
  readonly #family: Family;
  /** Commands without an outcome: told `ended` when the actor is. */
  readonly #waiting = new Set<(outcome: 'ended') => void>();

  constructor(actor: ChatActor, record: ChatRecord, family: Family) {
    this.#actor = actor;
    this.#memory = new CommandMemory(record.commands, record.commandsComplete, actor.deps.counts.evictions);
    this.#family = family;
  }

  /** The reply, after its commit; `ended` when the actor ended first: ask the next one. */
  run(principal: Principal, request: CommandRequest): Promise<CommandOutcome> {
    const argsHash = hashArgs(request.rawArgs);
    const known = this.#memory.find(principal.owner, request.id);
    if (known !== undefined) {
      return isSameCommand(known, { name: request.name, argsHash })
        ? known.outcome
        : Promise.resolve(refusal(errorBody('id_reused')));
    }
    if (this.#actor.ended !== null) return Promise.resolve('ended');
    if (this.#actor.mailboxFull) {
      this.#actor.deps.counts.limits.add('mailbox');
      return Promise.resolve(refusal(errorBody('unavailable', 'too many commands wait', 1_000)));
    }
    const { promise, resolve } = Promise.withResolvers<CommandOutcome>();
    this.#memory.add({ principal: principal.owner, id: request.id, name: request.name, argsHash }, promise);
    const span = this.#actor.deps.tracer.begin('actor', request.trace ?? null, { 'parley.chat': this.#actor.chat });
    const pending = { principal, request, argsHash, trace: span.at };
    const finish = (outcome: Decided | 'ended'): void => {
      if (!this.#waiting.delete(finish)) return;
      span.end(outcome === 'ended' ? outcome : 'decided', outcome === 'ended');
      if (outcome === 'ended' || !outcome.kept) this.#memory.forget(principal.owner, request.id);
      resolve(outcome === 'ended' ? outcome : outcome.reply);
    };
    this.#waiting.add(finish);
    this.#actor.post(async () => {
      const outcome = await this.#decide(pending);
      if (outcome === 'rest first') void this.#archiveAtRest(pending, finish);
      else finish(outcome);
    });
    return promise;
  }

  /** Tells those who wait that they have to ask the next actor. */
  end(): void {
    for (const finish of this.#waiting) finish('ended');
  }

  async #decide(pending: Pending): Promise<Decided | 'ended' | 'rest first'> {
    const { request } = pending;
    const earlier = await this.#lookUp(pending);
    if (earlier !== null) return earlier;
    const parsed = parseChatCommand(request.name, request.args);
    if (!parsed.ok) {
      if (parsed.limit !== undefined) this.#actor.deps.counts.limits.add(parsed.limit);
      return this.#refuse(pending, parsed.error);
    }
    if (parsed.value.name === 'chat.archive') return 'rest first';
    return this.#execute(pending, parsed.value);
  }

  /** The chat comes to rest by tasks of its own, so the wait for it is none. A turn that runs is stopped first. */
  async #archiveAtRest(pending: Pending, finish: (outcome: Decided | 'ended') => void): Promise<void> {
    for (let tries = 0; tries < ARCHIVE_TRIES; tries++) {
      const release = await this.#actor.quiesce();
      const outcome = await new Promise<Decided | 'ended' | 'running'>((resolve) => {
        this.#actor.post(
          async () => resolve(await this.#setArchived(pending, true)),
          () => resolve('ended'),
        );
      });
      release();
      // A message that waited in the mailbox may have begun a turn in between.
      if (outcome !== 'running') return finish(outcome);
    }
    finish(passing(refusal(errorBody('unavailable', 'the chat does not come to rest', 1_000))));
  }

  /** What is known of the command from before this activation; null: it was never applied. */
  async #lookUp({ principal, request, argsHash }: Pending): Promise<Decided | 'ended' | null> {
    const { clock, store } = this.#actor.deps;
    const madeMs = uuidV7Ms(request.id);
    const ageMs = madeMs === null ? Number.NEGATIVE_INFINITY : clock.nowMs() - madeMs;
    if (ageMs < -LIMITS.commandReplyMs) return passing(refusal(errorBody('bad_command_id')));
    const isOld = ageMs > LIMITS.commandReplyMs;
    if (this.#memory.complete && !isOld) return null;
    const found = await store.findCommand(principal.owner, this.#actor.chat, request.id);
    if (this.#actor.ended !== null) return 'ended';
    if (found.outcome === 'unavailable') return passing(refusal(errorBody('unavailable', undefined, 1_000)));
    if (found.value === 'applied') return passing(refusal(errorBody('already_applied')));
    if (found.value === null) return isOld ? passing(refusal(errorBody('expired'))) : null;
    return isSameCommand(found.value, { name: request.name, argsHash })
      ? { reply: found.value.reply, kept: true }
      : passing(refusal(errorBody('id_reused')));
  }

  async #execute(
    pending: Pending,
    command: Exclude<ChatCommand, { name: 'chat.archive' }>,
  ): Promise<Decided | 'ended'> {
    const actor = this.#actor;
    switch (command.name) {
      case 'chat.send':
        return this.#send(pending, command);
      case 'chat.stop': {
        const current = actor.state.turn?.id === command.turn;
        const input = { trace: pending.trace, tellsBelow: command.tree ? ('stop' as const) : null };
        return this.#answer(pending, (rowOf) =>
          current ? actor.stop(input, rowOf) : actor.step({ type: 'stop', current }, input, rowOf),
        );
      }
      case 'chat.rename':
        return this.#change(pending, (draft) => nameChat(draft, command.title, 'user'));
      case 'chat.set_labels':
        return this.#change(pending, (draft) => draft.changeChat({ labels: command.labels }));
      case 'tool.result':
      case 'tool.approve': {
        const answer = answerCall(command, actor.state.calls, actor.tools);
        if (!answer.ok) return this.#refuse(pending, answer.error);
        const { plan, always } = answer;
        const event = { type: 'answer', after: afterCalls(plan) } as const;
        const input = { plan, always, trace: pending.trace };
        return this.#answer(pending, (rowOf) => actor.step(event, input, rowOf));
      }
      case 'chat.read':
        return this.#change(pending, (draft) => markRead(draft, command.number));
      case 'chat.compact': {
        const nothing = actor.state.contextTokens === null;
        if (actor.state.chat.archived) return this.#refuse(pending, errorBody('archived'));
        const { request, trace } = pending;
        const input = { compact: { id: request.id, trace }, trace };
        return this.#answer(pending, (rowOf) => actor.step({ type: 'compact', nothing }, input, rowOf));
      }
      case 'chat.set_model':
        return this.#setModel(pending, command.model);
      case 'chat.edit':
      case 'chat.retry':
      case 'chat.clear': {
        const asker = { id: pending.request.id, owner: pending.principal.owner, trace: pending.trace };
        const { state, atRest, deps } = actor;
        return this.#ask(pending, await askForEdit({ ...deps, state, atRest }, command, asker));
      }
      case 'queue.edit':
      case 'queue.reorder':
      case 'queue.promote':
      case 'queue.delete': {
        const { state, deps, mayGoOn } = actor;
        return this.#ask(pending, askForQueue(state, command, { nowMs: deps.clock.nowMs(), mayGoOn }));
      }
      case 'chat.unarchive': {
        const outcome = await this.#setArchived(pending, false);
        assert(outcome !== 'running', 'only what is to be archived has to rest');
        return outcome;
      }
      default:
        return unreachable(command);
    }
  }

  #send(pending: Pending, command: Extract<ChatCommand, { name: 'chat.send' }>): Promise<Decided | 'ended'> {
    const actor = this.#actor;
    const { principal, request } = pending;
    const { chat, queue } = actor.state;
    if (chat.archived) return this.#refuse(pending, errorBody('archived'));
    if (command.model !== null && actor.deps.models.find(command.model) === null) {
      return this.#refuse(pending, errorBody('unknown_model'));
    }
    const { trace } = pending;
    const send = { id: request.id, parts: command.parts, sender: principal.owner, model: command.model, trace };
    const { calls } = actor.state;
    const { busy } = command;
    const plan = busy === 'interrupt' ? interruptWaiting(calls) : denyWaiting(calls);
    const event = {
      type: 'send',
      busy,
      queueFull: isFull(queue),
      waiting: queue.length > 0,
      held: heldUntil(queue, actor.deps.clock.nowMs()) !== null,
      pending: plan.settled.length > 0,
      after: afterCalls(plan),
    } as const;
    return this.#answer(pending, (rowOf) => actor.step(event, { send, plan, trace }, rowOf));
  }

  async #ask(pending: Pending, asked: Asked): Promise<Decided | 'ended'> {
    if (this.#actor.ended !== null) return 'ended';
    switch (asked.outcome) {
      case 'unavailable':
        return passing(refusal(errorBody('unavailable', undefined, 1_000)));
      case 'refused':
        return this.#refuse(pending, asked.error);
      case 'step': {
        const ended = this.#actor.endedNow();
        const plan = asked.event.type === 'promote' ? interruptWaiting(this.#actor.state.calls) : null;
        const input = { ...asked.input, plan, trace: pending.trace, ended };
        return this.#answer(pending, (rowOf) => this.#actor.step(asked.event, input, rowOf));
      }
      default:
        return unreachable(asked);
    }
  }

  /** Of the next turn: one that runs keeps its own. */
  #setModel(pending: Pending, model: string): Promise<Decided | 'ended'> {
    if (this.#actor.deps.models.find(model) === null) return this.#refuse(pending, errorBody('unknown_model'));
    return this.#change(pending, (draft) => draft.changeChat({ model }));
  }

  /** A change of metadata, or of the read position: it does not concern the machine, a chat may be renamed in any state. */
  #change(pending: Pending, change: (draft: Draft) => void): Promise<Decided | 'ended'> {
    return this.#answer(pending, (rowOf) => {
      const draft = this.#actor.openDraft();
      draft.trace = pending.trace;
      change(draft);
      return this.#actor.commit(draft, rowOf);
    });
  }

  #refuse(pending: Pending, error: ErrorBody): Promise<Decided | 'ended'> {
    return this.#change(pending, (draft) => {
      draft.reply = { ok: false, error };
    });
  }

  /** Runs a durable step that carries the command's row; its reply is what the draft says, else the chat. */
  async #answer(pending: Pending, step: (rowOf: RowOf) => Promise<boolean>): Promise<Decided | 'ended'> {
    let reply: CommandReply | null = null;
    const rowOf: RowOf = (draft) => {
      reply = encodeReplyBody(draft.reply ?? { ok: true, result: { chat: wireChat(draft.state.chat) } });
      return this.#row(pending, reply);
    };
    if (!(await step(rowOf)) || reply === null) return 'ended';
    return { reply, kept: true };
  }

  async #setArchived(pending: Pending, archived: boolean): Promise<Decided | 'ended' | 'running'> {
    const outcome = await setArchived(this.#actor, this.#family, archived, (chat) =>
      this.#row(pending, encodeReplyBody({ ok: true, result: { chat: wireChat(chat) } })),
    );
    if (outcome === 'ended' || outcome === 'running') return outcome;
    if (outcome.ok) return { reply: outcome.reply, kept: true };
    return outcome.error.retry === 'never' ? this.#refuse(pending, outcome.error) : passing(refusal(outcome.error));
  }

  #row({ principal, request, argsHash }: Pending, reply: CommandReply): CommandRow {
    const { id, name } = request;
    return { principal: principal.owner, id, name, argsHash, reply, createdAtMs: this.#actor.deps.clock.nowMs() };
  }
}

/**
 * Moves the read position of the owner, never back and never past the last message: what is yet to come is unread. It is
 * no change of the chat: followers hear nothing of it, and the chat keeps its place in the list.
 */
function markRead(draft: Draft, number: number): void {
  const { readNumber, nextNumber } = draft.state;
  const read = Math.max(readNumber, Math.min(number, nextNumber - 1));
  draft.change({ readNumber: read });
  draft.reply = { ok: true, result: { read } };
}

/** `kept`: the reply is in storage; one that is not may turn out otherwise when the client tries again. */
type Decided = { readonly reply: CommandReply; readonly kept: boolean };

function passing(reply: CommandReply): Decided {
  return { reply, kept: false };
}

/** The reply with an error. */
export function refusal(error: ErrorBody): CommandReply {
  return { ok: false, body: encodeBody(wireError(error)) };
}

export function encodeReplyBody(reply: Reply): CommandReply {
  return reply.ok ? { ok: true, body: encodeBody(reply.result) } : refusal(reply.error);
}

/** SHA-256: equality of commands is equality of their raw argument bytes. */
export function hashArgs(rawArgs: Uint8Array): Uint8Array {
  return createHash('sha256').update(rawArgs).digest();
}
