// What the gateway counts, and what its sessions are at and hold at the moment of asking.

import type { WireLimit } from '../protocol/limits.ts';
import { DURATION_BOUNDS_SECONDS, Histogram, Tally } from '../protocol/measures.ts';
import { REFUSALS, type Refusal } from './admission.ts';
import type { GATEWAY_LIMITS, SessionLimits } from './limits.ts';

/** The limits that are reached in the gateway, those of bytes that clients send included. */
export const GATEWAY_LIMITS_COUNTED = [
  'inboundMessageBytes',
  'scannedStringBytes',
  'scannedDepth',
  'scannedItems',
  'valuesPerMessage',
  'credentialBytes',
  'clientNameBytes',
  'attachmentsPerSession',
  'requestsPerSession',
  'inboundBytesPerSession',
  'unfinishedMax',
  'waitingFrames',
  'reattachesMax',
  'snapshotsPerSession',
  'snapshotPullMs',
  'stalledBeatsMax',
  'metricsConnections',
  'outboxHardBytes',
  'helloTimeoutMs',
  'tokenGraceMs',
  'framesPerSecond',
  'sessionsPerOwner',
  'attachmentsPerOwner',
  'commandsPerSecond',
  'ownerCommandsPerSecond',
  'ownerActivationsPerSecond',
  'sessionsMax',
  'sessionsPerAddress',
  'addressConnectsPerSecond',
  'addressRefusalsPerSecond',
  'nodeConnectsPerSecond',
] as const satisfies readonly (
  | WireLimit
  | keyof typeof GATEWAY_LIMITS
  | keyof SessionLimits
  | 'sessionsMax'
  | 'sessionsPerAddress'
  | 'addressConnectsPerSecond'
  | 'addressRefusalsPerSecond'
  | 'nodeConnectsPerSecond'
)[];
export type GatewayLimit = (typeof GATEWAY_LIMITS_COUNTED)[number];

const REPLAYS = ['resumed', 'snapshot', 'gone', 'refused'] as const;

export class GatewayCounts {
  readonly limits = new Tally<GatewayLimit>(GATEWAY_LIMITS_COUNTED);
  /** WebSocket upgrades that were refused. */
  readonly refusals = new Tally<Refusal>(REFUSALS);
  /** Credentials that were looked at: `accepted`, or the code of the error. */
  readonly authentications = new Tally<string>(['accepted', 'unauthorized', 'token_expired', 'revoked', 'going_away']);
  /** How attaches ended that the host was asked for. */
  readonly replays = new Tally<(typeof REPLAYS)[number]>(REPLAYS);
  /** `<name> ok` or `<name> <error code>`; a name that is none is `unknown`. */
  readonly commands = new Tally<string>();
  readonly queries = new Tally<string>();
  readonly commandSeconds = new Histogram(DURATION_BOUNDS_SECONDS);
  readonly querySeconds = new Histogram(DURATION_BOUNDS_SECONDS);
  sessionsOpened = 0;
  /** WebSocket messages, and their bytes. */
  messagesIn = 0;
  messagesOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  framesIn = 0;
  /** Positions that left for clients: an event counts once per session that it was sent to. */
  eventsOut = 0;
  snapshotPieces = 0;
  /** How often a session passed its soft budget. */
  pauses = 0;

  refused(reason: Refusal): void {
    this.refusals.add(reason);
    if (reason === 'full') this.limits.add('sessionsMax');
    if (reason === 'address_full') this.limits.add('sessionsPerAddress');
    if (reason === 'address_rate') this.limits.add('addressConnectsPerSecond');
    if (reason === 'node_rate') this.limits.add('nodeConnectsPerSecond');
    if (reason === 'address_refusals') this.limits.add('addressRefusalsPerSecond');
  }

  sent(bytes: number): void {
    this.messagesOut += 1;
    this.bytesOut += bytes;
  }

  received(bytes: number): void {
    this.messagesIn += 1;
    this.bytesIn += bytes;
  }
}

/** What one session is at and holds. */
export type SessionMeasure = {
  readonly state: 'awaitingHello' | 'live' | 'closing';
  /** Above its soft budget: nothing is sent until the reader has read. */
  readonly paused: boolean;
  /** Frames that wait to be sent. */
  readonly outboxBytes: number;
  /** Sent, and not taken by the operating system yet. */
  readonly bufferedBytes: number;
  readonly attachments: number;
  /** Under way to their reader: asked of the host, or held until they are pulled. */
  readonly snapshots: number;
};

/** The same over all sessions. */
export type SessionsMeasure = {
  readonly states: Readonly<Record<SessionMeasure['state'], number>>;
  readonly paused: number;
  readonly outboxBytes: number;
  readonly bufferedBytes: number;
  /** Of the session that holds most. */
  readonly heldBytesMax: number;
  readonly attachments: number;
  readonly snapshots: number;
};

export function sumSessions(sessions: Iterable<SessionMeasure>): SessionsMeasure {
  const states = { awaitingHello: 0, live: 0, closing: 0 };
  const sum = { paused: 0, outboxBytes: 0, bufferedBytes: 0, heldBytesMax: 0, attachments: 0, snapshots: 0 };
  for (const { state, paused, outboxBytes, bufferedBytes, attachments, snapshots } of sessions) {
    states[state] += 1;
    if (paused) sum.paused += 1;
    sum.outboxBytes += outboxBytes;
    sum.bufferedBytes += bufferedBytes;
    sum.heldBytesMax = Math.max(sum.heldBytesMax, outboxBytes + bufferedBytes);
    sum.attachments += attachments;
    sum.snapshots += snapshots;
  }
  return { states, ...sum };
}
