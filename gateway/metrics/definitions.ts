// Every metric of a node: its name, its labels and where it is read. METRICS.md says what each one means to an operator, a
// test holds the two together. Names and labels are for ever: a dashboard stands on them. No label is ever a chat, an
// owner, a session or anything else that clients can make more of.

import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { CLUSTER_METRICS } from './cluster-metrics.ts';
import type { Metric } from './pulled.ts';
import { by, byWords, count, counter, counterBy, gauge, gaugeBy, one, providers, type View } from './samples.ts';

export const METRICS = [
  // ------------------------------------------------------------------------------------------- sessions
  gaugeBy('parley_sessions', 'Open connections by state.', 'state', ({ sessions }) => Object.entries(sessions.states)),
  counter('parley_sessions_opened_total', 'Connections that became sessions.', ({ gateway }) => gateway.sessionsOpened),
  counterBy(
    'parley_sessions_closed_total',
    'Sessions that ended, by reason; gone is the client or the network.',
    'reason',
    ({ closed }) => [...Object.keys(CLOSE_CODES), 'gone'].map((reason) => [reason, count(closed, reason)] as const),
  ),
  gauge('parley_connections_unfinished', 'Connections that are no sessions (yet).', ({ unfinished }) => unfinished),
  counterBy(
    'parley_upgrades_refused_total',
    'WebSocket upgrades that were refused, by reason.',
    'reason',
    ({ gateway }) => gateway.refusals.counts,
  ),
  counterBy(
    'parley_authentications_total',
    'Credentials that were looked at, by outcome.',
    'outcome',
    ({ gateway }) => gateway.authentications.counts,
  ),
  gauge('parley_attachments', 'Chats that sessions follow.', ({ sessions }) => sessions.attachments),
  gauge(
    'parley_snapshots',
    'Snapshots on their way to sessions: asked for, or held until they are pulled.',
    ({ sessions }) => sessions.snapshots,
  ),
  counterBy(
    'parley_attaches_total',
    'How attaches ended: the replay outcomes, and refused.',
    'outcome',
    ({ gateway }) => gateway.replays.counts,
  ),
  counter(
    'parley_snapshot_pieces_total',
    'Pieces of snapshots that clients pulled.',
    ({ gateway }) => gateway.snapshotPieces,
  ),
  gauge(
    'parley_sessions_paused',
    'Sessions above their soft budget: their readers are slow.',
    ({ sessions }) => sessions.paused,
  ),
  counter(
    'parley_session_pauses_total',
    'How often a session passed its soft budget and waited for its reader.',
    ({ gateway }) => gateway.pauses,
  ),
  gauge(
    'parley_outbox_bytes',
    'Frames that wait to be sent, over all sessions.',
    ({ sessions }) => sessions.outboxBytes,
  ),
  gauge(
    'parley_socket_buffered_bytes',
    'Sent and not taken by the operating system yet, over all sessions.',
    ({ sessions }) => sessions.bufferedBytes,
  ),
  gauge(
    'parley_session_held_max_bytes',
    'Outbox and socket buffer of the session that holds most.',
    ({ sessions }) => sessions.heldBytesMax,
  ),
  counterBy(
    'parley_websocket_messages_total',
    'WebSocket messages, from clients (in) and to them (out).',
    'direction',
    ({ gateway }) => [
      ['in', gateway.messagesIn],
      ['out', gateway.messagesOut],
    ],
  ),
  counterBy('parley_websocket_bytes_total', 'Bytes of those messages.', 'direction', ({ gateway }) => [
    ['in', gateway.bytesIn],
    ['out', gateway.bytesOut],
  ]),
  gauge('parley_feed_watchers', 'Sessions that watch the list of their chats.', ({ feeds }) => feeds.followers),
  gauge('parley_feed_owners', 'Owners whose list of chats is watched here.', ({ feeds }) => feeds.owners),
  counter('parley_feed_frames_sent_total', 'Frames of feeds sent to clients.', ({ feeds }) => feeds.framesSent),
  counter('parley_frames_received_total', 'Well-formed frames from clients.', ({ gateway }) => gateway.framesIn),
  counter(
    'parley_events_sent_total',
    'Positions of chats sent to clients: an event counts once per session.',
    ({ gateway }) => gateway.eventsOut,
  ),
  {
    name: 'parley_commands_total',
    type: 'counter',
    help: 'Commands that were answered, by name and outcome (ok or the error code).',
    labels: ['name', 'outcome'],
    read: ({ gateway }) => byWords(['name', 'outcome'], gateway.commands),
  },
  {
    name: 'parley_command_duration_seconds',
    type: 'histogram',
    help: 'From a command to its reply: its commit is in it.',
    labels: [],
    read: ({ gateway }) => [[{}, gateway.commandSeconds]],
  },
  {
    name: 'parley_queries_total',
    type: 'counter',
    help: 'Queries that were answered, by name and outcome (ok or the error code).',
    labels: ['name', 'outcome'],
    read: ({ gateway }) => byWords(['name', 'outcome'], gateway.queries),
  },
  {
    name: 'parley_query_duration_seconds',
    type: 'histogram',
    help: 'From a query to its answer.',
    labels: [],
    read: ({ gateway }) => [[{}, gateway.querySeconds]],
  },
  {
    name: 'parley_limits_hit_total',
    type: 'counter',
    help: 'How often a limit refused, cut or closed something, by its name.',
    labels: ['limit'],
    read: ({ gateway, chats, store, cluster }) => [
      ...by('limit', gateway.limits.counts),
      ...by('limit', chats.limits.counts),
      ...by('limit', store.limits.counts),
      ...by('limit', cluster.limits.counts),
    ],
  },
  // ------------------------------------------------------------------------------------------- chats
  gaugeBy('parley_actors', 'Chats in memory, by what they are at.', 'state', ({ actors }) =>
    Object.entries(actors.states),
  ),
  counterBy(
    'parley_activations_total',
    'Chats that were to be loaded, by outcome.',
    'outcome',
    ({ chats }) => chats.activations.counts,
  ),
  gauge('parley_activations_waiting', 'Chats that wait to be loaded.', ({ actors }) => actors.activationsWaiting),
  counterBy(
    'parley_actor_ends_total',
    'Actors that ended, by reason; passivated and drained are in order.',
    'reason',
    ({ chats }) => chats.ends.counts,
  ),
  counter(
    'parley_revivals_total',
    'Chats loaded anew after their actor had ended under way.',
    ({ chats }) => chats.revivals,
  ),
  gauge(
    'parley_revivals_waiting',
    'Chats whose actor ended under way and that are not loaded anew yet.',
    ({ actors }) => actors.revivals,
  ),
  gauge('parley_followers', 'Registrations with the stream logs of chats.', ({ actors }) => actors.followers),
  gauge('parley_ring_events', 'Events kept for replay, over all chats in memory.', ({ actors }) => actors.ringEvents),
  gauge('parley_ring_bytes', 'Bytes of those events.', ({ actors }) => actors.ringBytes),
  counterBy(
    'parley_evictions_total',
    'What left memory for something newer, by the limit that it was kept within.',
    'limit',
    ({ chats }) => chats.evictions.counts,
  ),
  gauge('parley_queued_messages', 'Messages that wait behind running turns.', ({ actors }) => actors.queuedMessages),
  gauge('parley_mailbox_tasks', 'Tasks that wait in actors, over all chats.', ({ actors }) => actors.mailboxTasks),
  gauge('parley_mailbox_max_tasks', 'Tasks that wait in the actor with most.', ({ actors }) => actors.mailboxTasksMax),
  counterBy('parley_turns_total', 'Turns that ended, by outcome.', 'outcome', ({ chats }) => chats.turns.counts),
  counterBy(
    'parley_tool_calls_total',
    'Calls of tools that were settled, by status.',
    'status',
    ({ chats }) => chats.calls.counts,
  ),
  gauge('parley_tools_running', 'Calls of tools that run.', ({ actors }) => actors.toolsRunning),
  gauge('parley_tools_waiting', 'Calls of tools that wait in line for a place.', ({ actors }) => actors.toolsWaiting),
  counterBy(
    'parley_compactions_total',
    'Chats that were made smaller to fit into a window, by outcome.',
    'outcome',
    ({ chats }) => chats.compactions.counts,
  ),
  counter('parley_told_total', 'What chats were told by chats above them, and have done.', ({ chats }) => chats.heard),
  counter('parley_journal_packs_total', 'Saved packs of streamed text.', ({ chats }) => chats.journalPacks),
  // ------------------------------------------------------------------------------------------- models
  {
    name: 'parley_attempts_opened_total',
    type: 'counter',
    help: 'Requests to models that were committed before they were made.',
    labels: ['provider'],
    read: ({ chats }) => providers(chats, (provider) => one(provider.opened)),
  },
  {
    name: 'parley_attempts_total',
    type: 'counter',
    help: 'Settled attempts, as in the ledger: by outcome and error code (none when there was none).',
    labels: ['provider', 'outcome', 'error'],
    read: ({ chats }) => providers(chats, (provider) => byWords(['outcome', 'error'], provider.ends)),
  },
  {
    name: 'parley_attempt_retries_total',
    type: 'counter',
    help: 'Attempts that are tried again, by the error that they answer.',
    labels: ['provider', 'error'],
    read: ({ chats }) => providers(chats, (provider) => by('error', provider.retries.counts)),
  },
  counterBy(
    'parley_prompt_faults_total',
    'Requests that were not sent, by the rule of the providers that they break.',
    'rule',
    ({ chats }) => chats.promptFaults.counts,
  ),
  {
    name: 'parley_attempt_duration_seconds',
    type: 'histogram',
    help: 'From the opening of an attempt to its settlement.',
    labels: ['provider'],
    read: ({ chats }) => providers(chats, (provider) => [[{}, provider.seconds]] as const),
  },
  {
    name: 'parley_attempt_first_block_seconds',
    type: 'histogram',
    help: 'From the opening of an attempt to the first block of its answer.',
    labels: ['provider'],
    read: ({ chats }) => providers(chats, (provider) => [[{}, provider.firstBlockSeconds]] as const),
  },
  {
    name: 'parley_attempt_tokens_total',
    type: 'counter',
    help: 'Tokens of settled attempts, by kind.',
    labels: ['provider', 'kind'],
    read: ({ chats }) => providers(chats, (provider) => by('kind', provider.tokens.counts)),
  },
  {
    name: 'parley_attempt_cost_microdollars_total',
    type: 'counter',
    help: 'Cost of settled attempts that have a price.',
    labels: ['provider'],
    read: ({ chats }) => providers(chats, (provider) => one(provider.costMicros)),
  },
  {
    name: 'parley_attempts_unpriced_total',
    type: 'counter',
    help: 'Settled attempts of models without a price.',
    labels: ['provider'],
    read: ({ chats }) => providers(chats, (provider) => one(provider.unpriced)),
  },
  ...CLUSTER_METRICS,
  // ------------------------------------------------------------------------------------------- database
  counterBy(
    'parley_commits_total',
    'Durable steps of chats that were handed to the store, by outcome.',
    'outcome',
    ({ store }) => store.commits.counts,
  ),
  {
    name: 'parley_commit_batch_intents',
    type: 'histogram',
    help: 'Durable steps that shared one transaction.',
    labels: [],
    read: ({ store }) => [[{}, store.batchIntents]],
  },
  {
    name: 'parley_commit_batch_duration_seconds',
    type: 'histogram',
    help: 'A transaction of the group commit, the wait for a connection included.',
    labels: [],
    read: ({ store }) => [[{}, store.batchSeconds]],
  },
  gauge(
    'parley_commit_batches',
    'Transactions of the group commit that are on their way.',
    ({ database }) => database.batches,
  ),
  gauge(
    'parley_commit_waiting_intents',
    'Durable steps that wait for a transaction.',
    ({ database }) => database.waitingIntents,
  ),
  gauge('parley_commit_waiting_bytes', 'Bytes of those steps.', ({ database }) => database.waitingBytes),
  gaugeBy('parley_database_connections', 'Connections to the database: busy and idle.', 'state', ({ database }) => [
    ['busy', database.connectionsTaken],
    ['idle', database.connectionsIdle],
  ]),
  counterBy(
    'parley_database_connections_total',
    'Connections to the database since the start: opened, refused, lost.',
    'outcome',
    ({ store }) => [
      ['opened', store.connectionsOpened],
      ['refused', store.connectionsRefused],
      ['lost', store.connectionsLost],
    ],
  ),
  gauge(
    'parley_database_waiting_uses',
    'Uses that wait for a connection to the database.',
    ({ database }) => database.waitingUses,
  ),
  counterBy(
    'parley_trace_spans_total',
    'Spans since the start: ended, exported to the collector, failed to be.',
    'outcome',
    ({ spans }) => Object.entries(spans),
  ),
  // ------------------------------------------------------------------------------------------- process
  gauge(
    'parley_process_resident_memory_bytes',
    'Resident memory of the process.',
    ({ process }) => process.residentBytes,
  ),
  gauge('parley_process_heap_used_bytes', 'Used bytes of the JavaScript heap.', ({ process }) => process.heapUsedBytes),
  gauge(
    'parley_process_external_memory_bytes',
    'Memory of buffers and native code outside of the heap.',
    ({ process }) => process.externalBytes,
  ),
  counter('parley_process_cpu_seconds_total', 'Processor time of the process.', ({ process }) => process.cpuSeconds),
  {
    name: 'parley_process_open_fds',
    type: 'gauge',
    help: 'Open file descriptors, sockets included; absent where the system does not tell.',
    labels: [],
    read: ({ process }) => (process.openFiles === null ? [] : one(process.openFiles)),
  },
  gauge(
    'parley_process_start_time_seconds',
    'When the process started, in Unix seconds.',
    ({ process }) => process.startedSeconds,
  ),
  gaugeBy(
    'parley_event_loop_lag_seconds',
    'How late the event loop came round since the scrape before: p50, p99 and max.',
    'stat',
    ({ process }) => Object.entries(process.lagSeconds),
  ),
  gauge(
    'parley_event_loop_busy_ratio',
    'Part of the time since the scrape before in which the event loop was at work.',
    ({ process }) => process.busyRatio,
  ),
] as const satisfies readonly Metric<View>[];

export type MetricName = (typeof METRICS)[number]['name'];
