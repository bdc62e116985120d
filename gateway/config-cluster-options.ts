// The options of a node among others.

import { z } from 'zod';
import { CLUSTER_VERSION } from '../actors/cluster/envelope.ts';
import { isLoopback } from './admission.ts';
import { option, optional, text } from './option-schemas.ts';

const KEY_BYTES_MIN = 16;

const natsUrl = z.string().refine((value) => {
  const servers = value.split(',').map((one) => URL.parse(one.trim()));
  return servers.every((url) => url !== null && ['nats:', 'tls:'].includes(url.protocol) && url.hostname !== '');
}, 'must be a URL such as nats://host:4222 or tls://user:password@host:4222; several are separated by commas');

const yesOrNo = z.enum(['yes', 'no'], 'must be yes or no').transform((value) => value === 'yes');

export const CLUSTER_OPTIONS = {
  natsUrl: optional({
    env: 'NATS_URL',
    secret: true,
    unit: 'URL',
    doc: 'The NATS server over which the nodes of one DATABASE_URL find each other. Not set: this node stands alone.',
    schema: natsUrl,
  }),
  natsCaFile: optional({
    env: 'PARLEY_NATS_CA_FILE',
    unit: 'file',
    doc: 'Certificates (PEM) that the NATS server is checked against. Not set: those of Node.',
    schema: text,
  }),
  clusterKey: optional({
    env: 'PARLEY_CLUSTER_KEY',
    secret: true,
    unit: 'key',
    doc: 'What the nodes sign their messages with, the same for all. Not set: a key that is kept in the database.',
    schema: z
      .string()
      .refine((value) => Buffer.byteLength(value) >= KEY_BYTES_MIN, `must have at least ${KEY_BYTES_MIN} bytes`),
  }),
  nodeName: optional({
    env: 'PARLEY_NODE_NAME',
    unit: 'name',
    doc: 'Names the node in its log and towards the others.',
    schema: z.string().regex(/^[\w.-]{1,64}$/, 'must be a name of letters, digits, dots and dashes'),
  }),
  insecure: option({
    env: 'PARLEY_INSECURE',
    unit: 'yes|no',
    default: 'no',
    doc: 'Takes a NATS server of another machine without TLS or without credentials.',
    schema: yesOrNo,
  }),
  selfFencing: option({
    env: 'PARLEY_SELF_FENCING',
    unit: 'yes|no',
    default: 'yes',
    doc: 'No: a node that may have been declared dead goes on regardless. For tests of the fencing in the database only.',
    schema: yesOrNo,
  }),
  clusterVersion: option({
    env: 'PARLEY_CLUSTER_VERSION',
    unit: 'version',
    default: String(CLUSTER_VERSION),
    doc: 'The version of the messages between nodes. Another than the default is for tests of mixed versions only.',
    schema: z
      .string()
      .regex(/^[1-9]\d{0,3}$/, 'must be a whole number')
      .transform(Number),
  }),
};

type ClusterConfig = {
  readonly natsUrl: string | null;
  readonly natsCaFile: string | null;
  readonly databaseUrl: string | null;
  readonly insecure: boolean;
};

/** What no option can say for itself. */
export function clusterFaults({ natsUrl: urls, natsCaFile, databaseUrl, insecure }: ClusterConfig): string[] {
  if (typeof urls !== 'string') {
    return natsCaFile === null ? [] : ['--nats-ca-file (PARLEY_NATS_CA_FILE) is for NATS_URL, which is not set.'];
  }
  const faults: string[] = [];
  if (databaseUrl === null) {
    faults.push('NATS_URL is for nodes that share a database: set DATABASE_URL, or unset NATS_URL.');
  }
  const servers = urls.split(',').map((one) => new URL(one.trim()));
  const open = servers.find(
    (url) => !isLoopback(url.hostname.replace(/^\[|\]$/g, '')) && (url.protocol !== 'tls:' || url.username === ''),
  );
  if (open !== undefined && !insecure) {
    faults.push(
      `NATS_URL: ${open.host} is another machine, and ${open.protocol === 'tls:' ? 'has no credentials' : 'has no TLS'}. ` +
        'Use tls://user:password@host:4222, or accept that with --insecure (PARLEY_INSECURE=yes).',
    );
  }
  return faults;
}
