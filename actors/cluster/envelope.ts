// The envelope of a frame between nodes: `HMAC-SHA256 (32 bytes) | msgpack [version, sender, kind, …fields]`.
//
// The HMAC covers the subject too, so that what was meant for one node is worth nothing to another. Nothing is read before
// it was compared; then the scanner walks the bytes, as it does for clients. A node understands its own version and the
// one before; it speaks to each peer in the highest that both understand, and to all in the lower one.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { assert } from '../../protocol/assert.ts';
import { asArray, asId, asUint } from '../../protocol/fields.ts';
import { uuidToBytes, type NodeId } from '../../protocol/ids.ts';
import { ProtocolError } from '../../protocol/protocol-error.ts';
import type { ScanLimits } from '../../protocol/scanner.ts';
import { readValues } from '../../protocol/wire-reader.ts';
import { packValue } from '../../protocol/wire-writer.ts';
import { isBeat, parseFrame, wireFrame, type ClusterFrame } from './frames.ts';

/** Of the frames in `frames.ts`. Raised with any change that the version before does not understand. */
export const CLUSTER_VERSION = 1;

const MAC_BYTES = 32;

const SCAN: ScanLimits = { depth: 8, items: 1 << 16, stringBytes: 1 << 20, values: 1 };

/** What a node of this version understands. */
export function spoken(version: number): { readonly min: number; readonly max: number } {
  return { min: Math.max(1, version - 1), max: version };
}

export type Opened =
  | { readonly outcome: 'frame'; readonly from: NodeId; readonly frame: ClusterFrame }
  /** A kind that only a later version knows. */
  | { readonly outcome: 'unknown' }
  | { readonly outcome: 'refused'; readonly reason: 'mac' | 'version' | 'malformed'; readonly detail: string };

export class Envelopes {
  readonly #key: Uint8Array;
  readonly #self: NodeId;
  readonly #speaks: { readonly min: number; readonly max: number };

  /** `key`: of the cluster, at least 16 bytes. */
  constructor(key: Uint8Array, self: NodeId, version: number) {
    assert(key.length >= 16, 'a cluster key has 16 bytes or more');
    this.#key = key;
    this.#self = self;
    this.#speaks = spoken(version);
  }

  get speaks(): { readonly min: number; readonly max: number } {
    return this.#speaks;
  }

  /** The version to speak with somebody who understands `theirs`; null: there is none in common. */
  common(theirs: { readonly min: number; readonly max: number }): number | null {
    const version = Math.min(theirs.max, this.#speaks.max);
    return version >= Math.max(theirs.min, this.#speaks.min) ? version : null;
  }

  seal(subject: string, frame: ClusterFrame, version: number = this.#speaks.max): Uint8Array {
    const body = packValue([version, uuidToBytes(this.#self), ...wireFrame(frame)]);
    const sealed = new Uint8Array(MAC_BYTES + body.length);
    sealed.set(this.#mac(subject, body));
    sealed.set(body, MAC_BYTES);
    return sealed;
  }

  /** Never throws. */
  open(subject: string, bytes: Uint8Array): Opened {
    if (bytes.length <= MAC_BYTES) return refused('malformed', 'too short');
    const body = bytes.subarray(MAC_BYTES);
    if (!timingSafeEqual(bytes.subarray(0, MAC_BYTES), this.#mac(subject, body))) {
      return refused('mac', 'its sender has another cluster key');
    }
    try {
      const [version, from, ...fields] = asArray(readValues(body, SCAN)[0], 'frame');
      const spokenVersion = asUint(version, 'version');
      const isKnown = spokenVersion >= this.#speaks.min && spokenVersion <= this.#speaks.max;
      if (!isKnown && !isBeat(fields)) {
        return refused(
          'version',
          `version ${spokenVersion}, this node understands ${this.#speaks.min} to ${this.#speaks.max}`,
        );
      }
      const frame = parseFrame(fields);
      return frame === null ? { outcome: 'unknown' } : { outcome: 'frame', from: asId<NodeId>(from, 'sender'), frame };
    } catch (error) {
      if (error instanceof ProtocolError) return refused('malformed', error.message);
      throw error;
    }
  }

  #mac(subject: string, body: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#key).update(subject).update('\0').update(body).digest();
  }
}

function refused(reason: 'mac' | 'version' | 'malformed', detail: string): Opened {
  return { outcome: 'refused', reason, detail };
}
