// The actor of one chat: the only writer of the chat for the epoch that it holds.
//
// It works off a mailbox, one task at a time; a task decides (the machine), commits what was decided as one durable
// step, and only then shows it: events, replies, requests to the model. There is no undo: a commit that was refused or
// whose outcome is unknown ends the actor, and the host builds the next one from storage. Invariants: `#state` is
// what storage holds; at most one commit is in flight; after `#end` nothing is emitted, answered or started.

import { must } from '../../protocol/assert.ts';
import type { ChatEvent } from '../../protocol/events.ts';
import type { ChatId, Epoch } from '../../protocol/ids.ts';
import type { Position } from '../../protocol/position.ts';
import type { ResumedRun } from '../background-run.ts';
import type { Follower } from '../host/api.ts';
import type { AttemptResult, ChatRecord, CommandRow, Log, ModelBinding } from '../ports.ts';
import { AttemptRun } from './attempt-run.ts';
import { CompactionDriver } from './compaction/compaction-driver.ts';
import { compactionEnd, lookAhead } from './compaction/due.ts';
import type { EndReason } from './counts.ts';
import { Deadline } from './deadline.ts';
import { Draft, stateOf, wakeAtOf, type ActorState, type RowOf } from './draft.ts';
import { applyEffect } from './effects.ts';
import { constantInput, NO_INPUT, type EffectInput } from './effects/input.ts';
import {
  decide,
  initialState,
  lifeState,
  type ChatMachineEvent,
  type LifeState,
  type MachineState,
} from './machine.ts';
import { endedAttempt, type EndedAttempt } from './ended-attempt.ts';
import type { ActorDepsOf, AttachAt } from './actor-deps.ts';
import { CallDriver } from './call-driver.ts';
import { duePlan, recoveryPlan } from './call-plans.ts';
import type { ChatTools } from './chat-tools.ts';
import { afterCalls, interruptWaiting } from './tool-calls.ts';
import { nextDue } from './next-due.ts';
import { handIn } from './hand-in.ts';
import { Mailbox } from './mailbox.ts';
import { RestWaiters } from './rest-waiters.ts';
import { foundIn, recoveredFrom } from './recovery.ts';
import { traceField } from '../tracing.ts';
import { CHAT_LIMITS } from './settings.ts';
import { heldUntil } from './queue.ts';
import { giveUpRuns, referToRun } from './resume.ts';
import { StreamLog } from './stream-log.ts';
import { TitleDriver, withoutTitles } from './title-driver.ts';
import { judgedEnd } from './judged-end.ts';

export type ActorDeps = ActorDepsOf<ChatActor>;

export class ChatActor {
  readonly chat: ChatId;
  readonly epoch: Epoch;
  readonly streamLog: StreamLog;
  readonly deps: ActorDeps;
  /** When the actor was last of use; only the host reads it, to passivate. */
  lastUsedMs: number;
  #machine: MachineState = initialState();
  #state: ActorState;
  readonly #mailbox = new Mailbox((error) => {
    this.#log.error('actor crashed', { error, ...this.#traced });
    this.end('crashed');
  });
  #ended: EndReason | null = null;
  #attempt: AttemptRun | null = null;
  readonly #calls: CallDriver;
  readonly #compaction: CompactionDriver;
  readonly #titles = new TitleDriver(this);
  readonly #deadline: Deadline;
  readonly #journalTimer: Deadline;
  /** While above 0 no queued message starts a turn: somebody waits for the chat to rest. */
  #quiesced = 0;
  #draining = false;
  readonly #rest = new RestWaiters(() => this.#ended !== null);

  /** `crashed`: the actors of this chat failed too often of late; a turn that was running is given up. */
  constructor(deps: ActorDeps, loaded: ChatRecord, crashed: boolean) {
    const { record, titles } = withoutTitles(loaded);
    this.deps = deps;
    this.chat = record.chat.id;
    this.epoch = record.epoch;
    this.lastUsedMs = deps.clock.nowMs();
    this.#deadline = new Deadline(deps.clock);
    this.#journalTimer = new Deadline(deps.clock);
    this.streamLog = new StreamLog({ ...record, rings: deps.counts.rings, ...deps.suspension });
    this.#calls = new CallDriver({
      deps,
      clientTools: record.clientTools,
      log: this.streamLog,
      state: () => this.#state,
      post: (task) => this.post(task),
      onEnded: async (plan) => {
        await this.step({ type: 'callsEnded', after: afterCalls(plan), more: this.#hasMore() }, { plan }, null);
      },
    });
    this.#compaction = new CompactionDriver({
      deps,
      state: () => this.#state,
      tools: () => this.tools.specs,
      post: (task) => this.post(task),
      onFault: (error) => this.#log.error('compaction failed by a bug', { error, ...this.#traced }),
      onEnded: async ({ judgement, ended }) => {
        const event = compactionEnd(this.life, this.#state, { verdict: judgement.verdict, more: this.#hasMore() });
        await this.step(event, { ended, compaction: judgement }, null);
      },
    });
    this.#state = stateOf(record);
    this.post(() => this.#load(record, crashed));
    this.post(() => this.#titles.settleLost(titles));
  }

  /** Made when there is something to say, which is seldom: a logger of its own is a third of what an idle actor holds. */
  get #log(): Log {
    return this.deps.log.child({ chat: this.chat });
  }

  get state(): ActorState {
    return this.#state;
  }

  get life(): LifeState {
    return lifeState(this.#machine);
  }

  /** What the model of this chat may call. */
  get tools(): ChatTools {
    return this.#calls.tools;
  }

  get ended(): EndReason | null {
    return this.#ended;
  }

  get atRest(): boolean {
    return this.life === 'idle' || this.life === 'failed';
  }

  /** No further command is taken. Tasks of the actor's own always are: there are few of them, and none may be lost. */
  get mailboxFull(): boolean {
    return this.#mailbox.length >= CHAT_LIMITS.mailbox;
  }

  get mailboxTasks(): number {
    return this.#mailbox.length;
  }

  /** Queues a task; `dropped` is called instead when the actor ends before its turn comes. */
  post(run: () => Promise<void>, dropped?: () => void): void {
    this.#mailbox.post(run, dropped);
  }

  /** Resolves when every task before it is done, or the actor has ended. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.post(async () => resolve(), resolve);
    });
  }

  /** Takes the place of the cursor and the registration as follower in one synchronous step. */
  attach(cursor: Position | null, follower: Follower): AttachAt {
    this.lastUsedMs = this.deps.clock.nowMs();
    const place = cursor === null ? 'evicted' : this.streamLog.place(cursor);
    if (place === 'ahead') return { outcome: 'ahead' };
    const detach = this.streamLog.follow(follower);
    return { outcome: place === 'here' ? 'resumed' : 'snapshot', position: this.streamLog.top, detach };
  }

  /**
   * One durable step: what the machine decides on `event`, with the reply to `command` in the same commit (`rowOf` is
   * asked for its row once everything else is decided). False when the actor ended over it.
   */
  async step(event: ChatMachineEvent, input: Partial<EffectInput>, rowOf: RowOf | null): Promise<boolean> {
    const now = { toolsHash: this.tools.hash, restsAfter: this.#quiesced > 0, leaves: this.#draining };
    const full: EffectInput = { ...NO_INPUT, ...constantInput(this.deps, now), ...input };
    const decision = decide(this.#machine, event, lookAhead(this.#state, event, full));
    const draft = this.openDraft();
    draft.takeInput(full);
    for (const effect of decision.effects) applyEffect(effect, draft, full);
    if (this.#draining) draft.leaveQueueDue();
    if (!(await this.commit(draft, rowOf))) return false;
    this.#machine = decision.state;
    this.#act(draft, full.recovered?.resume ?? null);
    return true;
  }

  /** A draft on the present state. Call `commit` with it in the same synchronous run. */
  openDraft(): Draft {
    this.#attempt?.writer.flush();
    this.#calls.runs?.flush();
    return new Draft({ state: this.#state, epoch: this.epoch, top: this.streamLog.top, atMs: this.deps.clock.nowMs() });
  }

  /** Commits the draft, then shows it. False when the actor ended over it: then nothing was shown. */
  async commit(draft: Draft, rowOf: RowOf | null): Promise<boolean> {
    const events = draft.finish();
    const row = rowOf === null ? null : rowOf(draft);
    if (events.length === 0 && row === null && draft.isEmpty) {
      this.#state = draft.state;
      return true;
    }
    const writer = this.#attempt?.writer;
    const { runs } = this.#calls;
    if (events.length > 0) {
      writer?.hold();
      runs?.hold();
    }
    if (!(await this.#persist(draft, row))) return false;
    this.#state = draft.state;
    this.show(events);
    // From the commit on that stops or replaces it nothing is shown of an attempt, also not what waited behind that (P6).
    if (this.#state.turn?.stopping || this.#state.attempt?.id !== this.#attempt?.id) this.#attempt?.stop();
    if (this.#state.turn?.stopping) {
      runs?.abort();
      this.#compaction.stop();
    }
    writer?.release();
    runs?.release();
    return true;
  }

  /** Emits events whose rows are committed. */
  show(events: readonly ChatEvent[]): void {
    for (const event of events) this.streamLog.append(event);
    this.lastUsedMs = this.deps.clock.nowMs();
  }

  /** Takes a state over that storage holds already. */
  adopt(state: ActorState): void {
    this.#state = state;
  }

  /** Asks storage whether this is still the chat's epoch; ends the actor when it is not. */
  confirm(): Promise<void> {
    this.post(async () => void (await this.#persist(this.openDraft(), null)));
    return this.settled();
  }

  /** Brings the chat to rest and keeps it there until the function returned is called. */
  async quiesce(): Promise<() => void> {
    this.#quiesced += 1;
    this.post(async () => {
      if (this.#state.turn?.stopping === null) await this.stop({}, null);
    });
    await this.settled();
    await this.#rest.until(() => this.atRest);
    return () => {
      this.#quiesced -= 1;
      // What it was brought to rest for may not have happened: the queue goes on then.
      this.post(async () => {
        if (this.life === 'idle') await this.step({ type: 'resume', more: this.#hasMore() }, {}, null);
      });
    };
  }

  /** Gives the chat up in order when nobody needs it. */
  passivate(): Promise<void> {
    this.post(async () => {
      if (!this.atRest || !this.#titles.isIdle || this.streamLog.followers > 0 || this.#mailbox.length > 0) return;
      await this.#release('passivated');
    });
    return this.settled();
  }

  /** For a node that goes down: no queued message starts a turn. Resolves when no request to a model is in flight. */
  async prepareDrain(): Promise<void> {
    this.#draining = true;
    this.#quiesced += 1;
    if (this.#waitsDurably) this.#deadline.cancel();
    await this.#rest.until(() => this.atRest || this.#waitsDurably);
  }

  /** Nothing of it is in flight, and what it waits for is in storage: whoever loads it next goes on. */
  get #waitsDurably(): boolean {
    return ['backingOff', 'awaitingAction', 'between'].includes(this.life);
  }

  /** Gives the chat up at rest and between two steps, else leaves its turn to be recovered. Call `prepareDrain` before. */
  drain(): Promise<void> {
    this.post(async () => {
      if (this.atRest || this.life === 'between') return this.#release('drained');
      await this.#journal();
      this.end('drained');
    });
    return this.settled();
  }

  end(reason: EndReason): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#machine = decide(this.#machine, { type: 'fence' }).state;
    this.#deadline.cancel();
    this.#journalTimer.cancel();
    this.#attempt?.abandon();
    this.#attempt = null;
    this.#calls.runs?.abandon();
    this.#compaction.abandon();
    this.#titles.abandon();
    this.#mailbox.close();
    this.streamLog.end();
    this.#rest.tell();
    this.deps.onEnded(this, reason);
  }

  async #load(record: ChatRecord, crashed: boolean): Promise<void> {
    const recovered = recoveredFrom(record, this.#binding());
    const found = foundIn(record, crashed, recovered.resume);
    const more = this.#hasMore();
    const plan = recoveryPlan(found, recovered.parts, this.#calls.source);
    const after = plan === null ? 'end' : afterCalls(plan);
    if (!(await this.step({ type: 'loaded', found, more, after }, { recovered, plan }, null))) return;
    if (found !== 'resumable') giveUpRuns(record, this.deps.models);
    if (found !== 'waiting' || more) return;
    // Nothing is due after all, or not yet: or every scan would find the chat again.
    const draft = this.openDraft();
    draft.wakeAtMs = wakeAtOf(draft.state);
    await this.commit(draft, null);
  }

  /** For lines of the log about the turn. */
  get #traced(): ReturnType<typeof traceField> {
    return traceField(this.#state.turn?.trace);
  }

  #binding(): ModelBinding | null {
    return this.deps.models.find(this.#state.turn?.model ?? this.#state.chat.model);
  }

  /** Nobody keeps the chat at rest. */
  get mayGoOn(): boolean {
    return this.#quiesced === 0 && !this.#state.chat.archived;
  }

  #hasMore(): boolean {
    const { queue } = this.#state;
    return this.mayGoOn && queue.length > 0 && heldUntil(queue, this.deps.clock.nowMs()) === null;
  }

  /** Stops the turn that runs; what waits for somebody is settled by it. */
  stop(input: Partial<EffectInput>, rowOf: RowOf | null): Promise<boolean> {
    const plan = interruptWaiting(this.#state.calls);
    return this.step({ type: 'stop', current: true }, { ...input, plan }, rowOf);
  }

  /** Does what the committed step asks for outside: all of it follows from the difference of the states. */
  #act(draft: Draft, resume: ResumedRun | null): void {
    const { attempt } = this.#state;
    if (attempt === null || attempt.purpose !== undefined) {
      this.#attempt?.abandon();
      this.#attempt = null;
      this.#journalTimer.cancel();
    } else if (attempt !== draft.before.attempt || this.#attempt === null) {
      if (this.life === 'requesting') this.#startAttempt(resume);
    }
    this.#compaction.follow(this.life);
    this.#titles.follow();
    this.#calls.follow();
    this.#armDeadline();
    this.#rest.tell();
  }

  #armDeadline(): void {
    const { clock, settings } = this.deps;
    const isIdle = this.#attempt === null && this.#calls.isIdle && this.#compaction.isIdle;
    const source = { life: this.life, state: this.#state, isIdle, isDraining: this.#draining };
    const due = nextDue({ ...source, nowMs: clock.nowMs(), stopGraceMs: settings.stopGraceMs });
    if (due === null) return this.#deadline.cancel();
    this.#deadline.arm(due.name, due.delayMs, (isCurrent) => {
      this.post(async () => {
        if (isCurrent()) await this.#due();
      });
    });
  }

  async #due(): Promise<void> {
    const ended = this.endedNow();
    const plan = duePlan(this.life, ended, this.#calls.source);
    const after = plan === null ? 'end' : afterCalls(plan);
    await this.step({ type: 'due', after, more: this.#hasMore() }, { ended, plan }, null);
  }

  /** The attempt that runs, if it is given up at this moment: nobody waits for the provider's last word. */
  endedNow(): EndedAttempt | null {
    if (this.#attempt === null) return this.#compaction.endedNow();
    return this.#endedAttempt({ outcome: 'aborted', provider: null, usage: null, requestId: null });
  }

  #startAttempt(resume: ResumedRun | null): void {
    this.#attempt?.abandon();
    const run: AttemptRun = new AttemptRun({
      deps: this.deps,
      trace: this.#state.turn?.trace ?? null,
      chat: this.chat,
      log: this.streamLog,
      opening: must(this.#state.attempt, 'an attempt was opened'),
      binding: this.#binding(),
      system: this.#state.fixedSystem ?? [],
      tools: this.tools.specs,
      toolChoice: this.#state.turn?.limited === true ? 'none' : 'auto',
      background: this.#state.chat.background === true,
      resume,
      onProviderRef: (ref) => this.post(() => this.#saveProviderRef(run, ref)),
      onFirstBlock: () => {
        this.post(async () => {
          if (this.#attempt === run) await this.step({ type: 'block' }, {}, null);
        });
      },
      onDue: () => this.post(() => this.#journal()),
      onCrash: (error) => {
        this.post(async () => {
          throw error;
        });
      },
      onFault: (error) => this.#log.error('attempt failed by a bug', { error, ...this.#traced }),
      onEnded: (result) => this.post(() => this.#attemptEnded(run, result)),
    });
    this.#attempt = run;
    this.#armJournal();
    void run.run();
  }

  async #saveProviderRef(run: AttemptRun, providerRef: string): Promise<void> {
    if (this.#attempt !== run) return;
    if (await this.commit(referToRun(this.openDraft(), providerRef), null)) run.writer.providerRefSaved();
  }

  async #attemptEnded(run: AttemptRun, result: AttemptResult): Promise<void> {
    if (this.#attempt !== run) return;
    // All that the model has said is shown in front of the message that it becomes.
    if (this.deps.settings.journal === 'shown') await this.#journal();
    else run.writer.flush();
    if (this.#attempt !== run) return;
    const end = { ended: this.#endedAttempt(result), state: this.#state, calls: this.#calls.source };
    const { ended, verdict, plan, after } = judgedEnd(end, this.deps);
    await this.step({ type: 'attemptEnded', verdict, after, more: this.#hasMore() }, { ended, plan }, null);
  }

  #endedAttempt(result: AttemptResult): EndedAttempt {
    return endedAttempt({
      result,
      blocks: this.streamLog.view.turn()?.blocks ?? [],
      isStopping: (this.#state.turn?.stopping ?? null) !== null,
      usageSoFar: this.#attempt?.writer.usageSoFar ?? null,
      cost: (usage) => this.#binding()?.cost(usage) ?? null,
    });
  }

  #armJournal(): void {
    if (this.deps.settings.journal === 'shown') return;
    this.#journalTimer.arm('journal', this.deps.settings.journalEveryMs, () => {
      this.post(() => this.#journal());
      this.#armJournal();
    });
  }

  /** Saves what was streamed since the last pack. What is shown already reserves no position: deltas go on meanwhile. */
  async #journal(): Promise<void> {
    if (this.life !== 'streaming') return;
    const draft = this.openDraft();
    const taken = this.#attempt?.writer.takePack() ?? null;
    if (taken === null) return;
    draft.journal.push(taken.pack);
    for (const event of taken.events) draft.push(event);
    await this.commit(draft, null);
  }

  /** Hands the draft to the store until it says what became of it. False: it did not take effect, and the actor is over. */
  async #persist(draft: Draft, row: CommandRow | null): Promise<boolean> {
    const { store, clock, counts, tracer } = this.deps;
    const result = await handIn({
      store,
      clock,
      counts,
      tracer,
      intent: draft.intent(row),
      trace: draft.trace,
      isOver: () => this.#ended !== null,
      triesMax: () => (this.#draining ? 1 : CHAT_LIMITS.commitTries),
    });
    if (result === null) return false;
    if (result.outcome === 'committed') {
      counts.committed(draft);
      if (draft.fed) this.deps.onFed(this.#state.chat.owner);
      if (draft.tellsBelow !== null) this.deps.onTold();
      return true;
    }
    if (result.outcome === 'rejected') {
      const { sqlstate, detail } = result;
      this.#log.error('commit rejected', { sqlstate, detail, ...traceField(draft.trace) });
    }
    this.end(result.outcome);
    return false;
  }

  async #release(reason: EndReason): Promise<void> {
    this.#machine = decide(this.#machine, { type: 'passivate' }).state;
    await this.deps.store.release(this.chat, this.epoch, this.streamLog.top);
    this.end(reason);
  }
}
