// Which address a request counts for: that of its connection or, behind a proxy that the operator trusts, the one that the
// proxy saw. Without it all strangers behind a proxy are one address, and one of them could lock out the others.
//
// Every proxy adds the address that it saw at the end of `X-Forwarded-For`; what stands before that is the client's word.
// So the header is read from its end, past the proxies that are trusted, and from nobody else's connection.

import { isIPv4, isIPv6 } from 'node:net';
import { must } from '../protocol/assert.ts';
import { addressKey, isMapped } from './admission.ts';

/** The header, in lower case. */
export const FORWARDED_FOR = 'x-forwarded-for';

/** 4 or 16 bytes, see `narrow`, and how many bits of them count. */
type Network = { readonly bytes: Uint8Array; readonly bits: number };

export class TrustedProxies {
  readonly #networks: readonly Network[];

  /** Addresses and CIDRs that `isNetwork`. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((network) => must(parseNetwork(network), 'the configuration has looked at it'));
  }

  /**
   * What counts as the address of a request (see `addressKey`) that came from `peer`, 4 or 16 bytes. `forwardedFor` gives
   * the lines of the header, in their order; it is asked only when it counts. An entry that is no address ends the list:
   * the request counts for the proxy that sent it.
   */
  clientKey(peer: Uint8Array, forwardedFor: () => readonly string[]): string {
    let address = narrow(peer);
    if (!this.#trusts(address)) return addressKey(peer);
    for (const entry of forwardedFor().join(',').split(',').toReversed()) {
      const sender = parseEntry(entry.trim());
      if (sender === null) break;
      address = sender;
      if (!this.#trusts(sender)) break;
    }
    return addressKey(address);
  }

  #trusts(address: Uint8Array): boolean {
    return this.#networks.some(({ bytes, bits }) => {
      if (bytes.length !== address.length) return false;
      const whole = Math.floor(bits / 8);
      if (address.subarray(0, whole).some((byte, i) => byte !== bytes[i])) return false;
      const shift = 8 - (bits % 8);
      return shift === 8 || (address[whole] ?? 0) >> shift === (bytes[whole] ?? 0) >> shift;
    });
  }
}

/** `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`. */
export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== null;
}

function parseNetwork(text: string): Network | null {
  const [address = '', written, ...rest] = text.split('/');
  const bytes = parseAddress(address);
  if (bytes === null || rest.length > 0) return null;
  const bitsMax = isIPv4(address) ? 32 : 128;
  if (written !== undefined && !/^\d{1,3}$/.test(written)) return null;
  // Counted from the end, so that it is the same for a mapped address and the IPv4 one that it is.
  const freeBits = bitsMax - Number(written ?? bitsMax);
  const bits = bytes.length * 8 - freeBits;
  return freeBits < 0 || bits < 0 ? null : { bytes, bits };
}

/** Some proxies add the port: `192.0.2.1:49152`, `[2001:db8::1]:49152`. */
function parseEntry(entry: string): Uint8Array | null {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(entry) ?? [];
  return parseAddress(bracketed ?? plain ?? entry);
}

function parseAddress(text: string): Uint8Array | null {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  // A zone (`fe80::1%eth0`) is of one machine only.
  if (!isIPv6(text) || text.includes('%')) return null;
  // The URL parser writes all of them in groups of hexadecimal digits, with one gap at most.
  const [head = '', tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const gap = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return narrow(Uint8Array.from([...before, ...gap, ...after].flatMap((group) => [group >> 8, group & 0xff])));
}

/** A mapped address (RFC 4291 §2.5.5.2) is the IPv4 one: a network of IPv6 such as `::/0` is not meant to hold it. */
function narrow(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}
