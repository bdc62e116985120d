// What all sessions of a node share.

import type { ChatHost } from '../actors/host/api.ts';
import type { Clock, Random } from '../actors/ports.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Authenticate } from './authentication.ts';
import type { GatewayCounts } from './counts.ts';
import type { Feeds } from './feeds.ts';
import type { Flusher } from './flush.ts';
import type { HeartbeatWheel } from './heartbeat-wheel.ts';
import type { SessionLimits } from './limits.ts';
import type { Logger } from './logger.ts';
import type { SessionRates } from './requests.ts';
import type { SessionRegistry } from './session-registry.ts';

export type SessionContext = {
  readonly node: NodeId;
  readonly host: ChatHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly authenticate: Authenticate;
  readonly registry: SessionRegistry;
  readonly feeds: Feeds;
  readonly flusher: Flusher;
  readonly wheel: HeartbeatWheel;
  readonly heartbeatMs: number;
  readonly limits: SessionLimits;
  readonly rates: SessionRates;
  readonly logger: Logger;
  readonly counts: GatewayCounts;
};
