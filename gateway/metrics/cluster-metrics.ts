// The metrics of a node among others; of one that stands alone they never change.

import type { Metric } from './pulled.ts';
import { counter, counterBy, gauge, gaugeBy, type View } from './samples.ts';

export const CLUSTER_METRICS = [
  gauge(
    'parley_cluster_bus_connected',
    '1: NATS can be reached; 0: it cannot, or the node stands alone.',
    ({ among }) => (among?.connected ? 1 : 0),
  ),
  gaugeBy(
    'parley_cluster_peers',
    'Other nodes: live by the database, reachable over the bus.',
    'state',
    ({ among }) => [
      ['live', among?.peersLive ?? 0],
      ['reachable', among?.peersReachable ?? 0],
    ],
  ),
  counter('parley_cluster_deaths_total', 'Other nodes that this one declared dead.', ({ cluster }) => cluster.deaths),
  counter(
    'parley_cluster_suspensions_total',
    'How often this node could not renew its row in time, and was renewed after all.',
    ({ cluster }) => cluster.suspensions,
  ),
  counterBy(
    'parley_cluster_messages_total',
    'Messages of the bus, from other nodes (in), to them (out), and not sent for want of a connection.',
    'direction',
    ({ cluster }) => [
      ['in', cluster.messagesIn],
      ['out', cluster.messagesOut],
      ['unsent', cluster.unsent],
    ],
  ),
  counterBy('parley_cluster_bytes_total', 'Bytes of those messages.', 'direction', ({ cluster }) => [
    ['in', cluster.bytesIn],
    ['out', cluster.bytesOut],
  ]),
  counterBy(
    'parley_cluster_refused_total',
    'Messages of other nodes that were not taken in, by reason.',
    'reason',
    ({ cluster }) => cluster.refused.counts,
  ),
  gaugeBy(
    'parley_cluster_links',
    'Links by direction: from owners to this node (in), from this node to gateways (out).',
    'direction',
    ({ among }) => [
      ['in', among?.linksIn ?? 0],
      ['out', among?.linksOut ?? 0],
    ],
  ),
  counterBy(
    'parley_cluster_link_breaks_total',
    'Links from owners that were broken and begun anew, by reason.',
    'reason',
    ({ cluster }) => cluster.breaks.counts,
  ),
  gaugeBy(
    'parley_cluster_mirrors',
    'Chats of other nodes that are followed here: all, and those whose owner is not heard of.',
    'state',
    ({ among }) => [
      ['all', among?.mirrors ?? 0],
      ['waiting', among?.mirrorsWaiting ?? 0],
    ],
  ),
  counterBy(
    'parley_cluster_mirrors_total',
    'How mirrors began (state), went on after a break (resumed) and ended.',
    'event',
    ({ cluster }) => cluster.mirrors.counts,
  ),
  gauge('parley_cluster_follows', 'Chats of this node that other nodes follow.', ({ among }) => among?.follows ?? 0),
  gauge(
    'parley_cluster_unacknowledged_bytes',
    'Sent to other nodes and not acknowledged by them, over all links.',
    ({ among }) => among?.unackedBytes ?? 0,
  ),
  gauge(
    'parley_cluster_calls_waiting',
    'Questions to other nodes without an answer.',
    ({ among }) => among?.callsWaiting ?? 0,
  ),
  {
    name: 'parley_cluster_call_duration_seconds',
    type: 'histogram',
    help: 'From a command or query to another node to its answer.',
    labels: [],
    read: ({ cluster }) => [[{}, cluster.callSeconds]],
  },
] as const satisfies readonly Metric<View>[];
