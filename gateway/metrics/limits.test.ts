// Every limit of the server and how it is seen from outside (P11). The catalogue is typed by the limits files: a limit
// that is not in it does not compile.

import { describe, expect, it } from 'vitest';
import { ACTOR_LIMITS, EVICTION_LIMITS } from '../../actors/chat/counted-limits.ts';
import type { CHAT_LIMITS } from '../../actors/chat/settings.ts';
import { CLUSTER_LIMITS_COUNTED, type CLUSTER_LIMITS } from '../../actors/cluster/limits.ts';
import type { HOST_LIMITS, HostSettings } from '../../actors/host/settings.ts';
import type { LIMITS } from '../../protocol/limits.ts';
import { STORE_LIMITS_COUNTED } from '../../storage/counts.ts';
import type { StoreLimits } from '../../storage/limits.ts';
import { GATEWAY_LIMITS_COUNTED } from '../counts.ts';
import type { GATEWAY_LIMITS, SessionLimits } from '../limits.ts';
import type { TRACE_LIMITS } from '../tracing/limits.ts';
import { METRICS, type MetricName } from './definitions.ts';

/**
 * `hit`: counted in `parley_limits_hit_total` each time it refuses, cuts or closes something. A name: that metric shows
 * it, since it says more than a count. `none`: nothing is refused, cut or closed by it: it is a size of pieces or a time between two things.
 */
type Seen = 'hit' | MetricName | 'none';

const WIRE: Readonly<Record<keyof typeof LIMITS, Seen>> = {
  inboundMessageBytes: 'hit',
  scannedStringBytes: 'hit',
  scannedDepth: 'hit',
  scannedItems: 'hit',
  valuesPerMessage: 'hit',
  credentialBytes: 'hit',
  clientNameBytes: 'hit',
  helloTimeoutMs: 'hit',
  heartbeatMs: 'none',
  attachmentsPerSession: 'hit',
  requestsPerSession: 'hit',
  titleChars: 'hit',
  labels: 'hit',
  labelKeyBytes: 'hit',
  labelValueBytes: 'hit',
  systemPromptChars: 'hit',
  partsPerMessage: 'hit',
  clientTools: 'hit',
  toolNameBytes: 'hit',
  toolDescriptionBytes: 'hit',
  toolSchemaBytes: 'hit',
  toolsBytes: 'hit',
  // What is longer is cut, and says so where it is read.
  toolOutputBytes: 'none',
  queuedMessages: 'hit',
  queuedBytes: 'hit',
  queueHoldMs: 'hit',
  inlinePartBytes: 'none',
  snapshotPieceBytes: 'parley_snapshot_pieces_total',
  partSliceBytes: 'none',
  snapshotBytes: 'none',
  snapshotMessages: 'none',
  // Asking for more is refused with `bad_args`.
  pageMessages: 'parley_queries_total',
  pageMessagesDefault: 'none',
  pageChats: 'parley_queries_total',
  pageChatsDefault: 'none',
  feedChats: 'none',
  feedFrameBytes: 'none',
  unreadMessages: 'none',
  pageTokens: 'parley_queries_total',
  tokenLifeMs: 'parley_commands_total',
  // An id that is older is refused with `expired`, one too far ahead with `bad_command_id`.
  commandReplyMs: 'parley_commands_total',
};

const CHAT: Readonly<Record<keyof typeof CHAT_LIMITS, Seen>> = {
  ringBytes: 'parley_evictions_total',
  ringEvents: 'parley_evictions_total',
  mergedDeltaBytes: 'none',
  stepBytes: 'hit',
  rememberedCommands: 'parley_evictions_total',
  mailbox: 'hit',
  commitTries: 'hit',
  commitRetryBaseMs: 'none',
  commitRetryCeilingMs: 'none',
  // The calls beyond are answered with an error, which is counted.
  callsPerStep: 'parley_tool_calls_total',
  recoveriesMax: 'hit',
  cachedReads: 'none',
};

const HOST: Readonly<Record<keyof typeof HOST_LIMITS | keyof HostSettings, Seen>> = {
  ringsBytes: 'parley_evictions_total',
  activationBatch: 'none',
  activationsWaiting: 'hit',
  triesMax: 'hit',
  crashesMax: 'hit',
  crashWindowMs: 'none',
  crashedChats: 'hit',
  reviveBaseMs: 'none',
  reviveCeilingMs: 'none',
  drainSpread: 'none',
  restHeldMs: 'none',
  overtakenEveryMs: 'none',
  sweepEveryMs: 'none',
  dueBatch: 'none',
  dueEveryMs: 'none',
  dueAgainMs: 'none',
  leftAgainMs: 'none',
  residentMax: 'hit',
  heapHeld: 'hit',
  heapRelief: 'none',
  passivateAfterMs: 'parley_actor_ends_total',
  drainMs: 'hit',
};

const GATEWAY: Readonly<
  Record<
    | keyof typeof GATEWAY_LIMITS
    | keyof SessionLimits
    | 'sessionsMax'
    | 'sessionsPerAddress'
    | 'addressConnectsPerSecond'
    | 'addressRefusalsPerSecond'
    | 'nodeConnectsPerSecond',
    Seen
  >
> = {
  inboundBytesPerSession: 'hit',
  waitingFrames: 'hit',
  reattachesMax: 'hit',
  snapshotsPerSession: 'hit',
  snapshotPullMs: 'hit',
  reattachDelayMs: 'none',
  reattachQuietMs: 'none',
  stalledBeatsMax: 'hit',
  joinedBytes: 'none',
  addressesMax: 'parley_upgrades_refused_total',
  unfinishedMax: 'hit',
  ownFiles: 'none',
  // Forgetting an idle one gives it its whole allowance again, nothing else.
  idleSharesMax: 'none',
  revocationPollMs: 'none',
  credentialsPerQuestion: 'none',
  socketSlackBytes: 'none',
  feedLookMs: 'none',
  feedOwnersPerLook: 'none',
  expiryGranularityMs: 'none',
  metricsConnections: 'hit',
  metricsRequestMs: 'none',
  outboxSoftBytes: 'parley_session_pauses_total',
  outboxHardBytes: 'hit',
  helloTimeoutMs: 'hit',
  tokenGraceMs: 'hit',
  framesPerSecond: 'hit',
  framesBurst: 'none',
  sessionsPerOwner: 'hit',
  attachmentsPerOwner: 'hit',
  commandsPerSecond: 'hit',
  commandsBurst: 'none',
  ownerCommandsPerSecond: 'hit',
  ownerCommandsBurst: 'none',
  ownerActivationsPerSecond: 'hit',
  ownerActivationsBurst: 'none',
  sessionsPerAddress: 'hit',
  addressRefusalsPerSecond: 'hit',
  sessionsMax: 'hit',
  addressConnectsPerSecond: 'hit',
  nodeConnectsPerSecond: 'hit',
};

const STORE: Readonly<Record<keyof StoreLimits, Seen>> = {
  connections: 'parley_database_connections',
  waitingUses: 'hit',
  waitMs: 'hit',
  connectMs: 'parley_database_connections_total',
  reconnectPauseMs: 'none',
  answerMs: 'hit',
  statementMs: 'hit',
  lockMs: 'hit',
  idleInTransactionMs: 'hit',
  batchWindowMs: 'none',
  batchIntents: 'parley_commit_batch_intents',
  batchBytes: 'none',
  batchesInFlight: 'parley_commit_batches',
  waitingIntents: 'hit',
  waitingBytes: 'hit',
  conflictTries: 'hit',
  // Out of tries: the command is answered `unavailable`.
  createTries: 'parley_commands_total',
  archiveTries: 'parley_commands_total',
  activationsPerRound: 'none',
  // `tokens.create` is answered `too_many`.
  tokensPerOwner: 'parley_commands_total',
  prunedPerRound: 'none',
  checkpointMs: 'none',
  checkpointsPerVacuum: 'none',
  nodeTtlMs: 'none',
};

const CLUSTER: Readonly<Record<keyof typeof CLUSTER_LIMITS, Seen>> = {
  beatMs: 'none',
  silentMs: 'hit',
  messageBytes: 'none',
  windowBytes: 'hit',
  ackBytes: 'none',
  ackWaitMs: 'hit',
  mirrors: 'hit',
  mirrorLingerMs: 'none',
  openingBytes: 'hit',
  ringAheadBytes: 'none',
  followTryMs: 'hit',
  mirrorWaitMs: 'hit',
  calls: 'hit',
  callTryMs: 'hit',
  openMs: 'hit',
  routeMs: 'hit',
  routeWaitMs: 'none',
  routeWaitCeilingMs: 'none',
  ownersKnown: 'hit',
  fedHints: 'hit',
};

const TRACES: Readonly<Record<keyof typeof TRACE_LIMITS, Seen>> = {
  // Full, a span that ended is neither exported nor failed.
  queuedSpans: 'parley_trace_spans_total',
  batchSpans: 'none',
  batchEveryMs: 'none',
  exportMs: 'parley_trace_spans_total',
  requestsInFlight: 'none',
  attributes: 'none',
  attributeChars: 'none',
  stopMs: 'none',
};

const SEEN: Readonly<Record<string, Seen>> = { ...WIRE, ...CHAT, ...HOST, ...GATEWAY, ...STORE, ...CLUSTER, ...TRACES };

describe('limits', () => {
  it('[P11] every limit that refuses, cuts or closes is counted under its name, and nothing else is', () => {
    const counted = [...GATEWAY_LIMITS_COUNTED, ...ACTOR_LIMITS, ...STORE_LIMITS_COUNTED, ...CLUSTER_LIMITS_COUNTED];
    expect(new Set(counted).size).toBe(counted.length);
    const hit = Object.keys(SEEN).filter((name) => SEEN[name] === 'hit');
    expect(hit.toSorted()).toEqual(counted.toSorted());
    expect(hit.length).toBeGreaterThan(40);
    const evicting = Object.keys(SEEN).filter((name) => SEEN[name] === 'parley_evictions_total');
    expect(evicting.toSorted()).toEqual([...EVICTION_LIMITS].toSorted());
  });

  it('[P11] a metric that shows a limit exists', () => {
    const names = new Set<string>(METRICS.map(({ name }) => name));
    const shown = Object.values(SEEN).filter((seen) => seen !== 'hit' && seen !== 'none');
    expect(shown.filter((name) => !names.has(name))).toEqual([]);
  });
});
