import { afterEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { Harness } from '../test/gateway/support/harness.ts';
import { rawGet, UPGRADE_HEADERS } from '../test/gateway/support/raw-http.ts';
import { addressKey } from './admission.ts';
import { isNetwork, TrustedProxies } from './client-address.ts';

const PROXY = Uint8Array.of(10, 0, 0, 7);
const PROXY_KEY = '10.0.0.7';

function keyOf(forwardedFor: readonly string[], { peer = PROXY, trusted = ['10.0.0.0/8', 'fd00::/8'] } = {}): string {
  return new TrustedProxies(trusted).clientKey(peer, () => forwardedFor);
}

describe('[P11] the address that a request counts for', () => {
  test.each([
    { what: 'the last entry', lines: ['203.0.113.9'], key: '203.0.113.9' },
    { what: 'not what the client wrote before it', lines: ['198.51.100.1, 203.0.113.9'], key: '203.0.113.9' },
    { what: 'the last line', lines: ['198.51.100.1', '203.0.113.9'], key: '203.0.113.9' },
    { what: 'the one before trusted proxies', lines: ['203.0.113.9, 10.1.2.3', 'fd00::1'], key: '203.0.113.9' },
    { what: 'the first, when all are trusted', lines: ['10.9.9.9, 10.1.2.3'], key: '10.9.9.9' },
    { what: 'without its port', lines: ['203.0.113.9:49152'], key: '203.0.113.9' },
    { what: 'the /64 of IPv6', lines: ['2001:db8:1:2:3:4:5:6'], key: '20010db800010002' },
    { what: 'IPv6 in brackets, with a port', lines: ['[2001:db8::1]:443'], key: '20010db800000000' },
    { what: 'IPv4 that is mapped', lines: ['::ffff:203.0.113.9'], key: '203.0.113.9' },
    { what: 'the proxy without the header', lines: [], key: PROXY_KEY },
    { what: 'the proxy, when its entry is empty', lines: ['203.0.113.9,'], key: PROXY_KEY },
    { what: 'the proxy, when its entry is no address', lines: ['203.0.113.9, unknown'], key: PROXY_KEY },
    { what: 'the proxy behind, when that of the next is none', lines: ['x, 10.1.2.3'], key: '10.1.2.3' },
    { what: 'the proxy, when it is out of range', lines: ['203.0.113.256'], key: PROXY_KEY },
    { what: 'the proxy, when it has a zone', lines: ['fe80::1%eth0'], key: PROXY_KEY },
  ])('[P11] is $what', ({ lines, key }) => {
    expect(keyOf(lines)).toBe(key);
  });

  test('[P11] is that of the connection when that is no trusted proxy, whatever the header says', () => {
    const stranger = Uint8Array.of(203, 0, 113, 1);
    expect(keyOf(['198.51.100.1'], { peer: stranger })).toBe('203.0.113.1');
    expect(keyOf(['198.51.100.1'], { trusted: [] })).toBe(PROXY_KEY);
    const others = ['10.0.0.6', '10.0.0.8/29', '10.0.0.0/30', '::/0', '0.0.0.0/32'];
    expect(keyOf(['198.51.100.1'], { trusted: others })).toBe(PROXY_KEY);
  });

  test('[P11] a proxy is trusted by its address or network, IPv6 and mapped ones too', () => {
    for (const trusted of ['10.0.0.7', '10.0.0.0/29', '10.0.0.7/32', '0.0.0.0/0', '::ffff:10.0.0.7']) {
      expect(keyOf(['203.0.113.9'], { trusted: [trusted] })).toBe('203.0.113.9');
    }
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...PROXY);
    expect(keyOf(['203.0.113.9'], { peer: mapped })).toBe('203.0.113.9');
    const six = Uint8Array.of(0xfd, 0x12, ...Array.from({ length: 14 }, () => 0));
    expect(keyOf(['203.0.113.9'], { peer: six })).toBe('203.0.113.9');
    expect(keyOf(['203.0.113.9'], { peer: six, trusted: ['fd13::/16'] })).toBe(addressKey(six));
  });

  test('[gateway] what is no address or network is told from what is', () => {
    expect(
      ['10.0.0.7', '10.0.0.0/8', '::1', 'fd00::/8', '1:2:3:4:5:6:7:8/128'].filter((one) => !isNetwork(one)),
    ).toEqual([]);
    const wrong = [
      '',
      'proxy',
      '10.0.0',
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '::1/129',
      '::1/-1',
      '[::1]',
      ':::',
    ];
    expect(wrong.filter(isNetwork)).toEqual([]);
  });
});

describe('[P11] behind a proxy', () => {
  let harness: Harness;

  afterEach(() => harness.stop());

  function upgrade(headers: Readonly<Record<string, string>>): ReturnType<typeof rawGet> {
    return rawGet(Number(new URL(harness.url).port), '/v1/ws', { ...UPGRADE_HEADERS, ...headers });
  }

  async function badCredentials(count: number, forwardedFor: string): Promise<void> {
    for (let i = 0; i < count; i++) {
      const stranger = await harness.open({ 'x-forwarded-for': forwardedFor });
      stranger.send({ op: 'hello', version: 1, credential: 'guess', client: 'test' });
      expect(await stranger.closed).toMatchObject({ code: CLOSE_CODES.unauthorized });
    }
  }

  test('[P11] a stranger with bad credentials locks out nobody but themselves, whatever they write into the header', async () => {
    harness = await Harness.start({
      trustedProxies: ['127.0.0.1'],
      addressRefusalsPerSecond: 1,
      addressRefusalsBurst: 3,
    });
    await badCredentials(3, '203.0.113.9');
    expect(await upgrade({ 'x-forwarded-for': '203.0.113.9' })).toMatchObject({ status: 429 });
    expect(await upgrade({ 'x-forwarded-for': '198.51.100.1, 203.0.113.9' })).toMatchObject({ status: 429 });
    // A proxy that adds a line of its own, behind the client's.
    const lines = { 'X-Forwarded-For': '198.51.100.1', 'x-forwarded-for': '203.0.113.9' };
    expect(await upgrade(lines)).toMatchObject({ status: 429 });
    expect(await upgrade({ 'x-forwarded-for': '198.51.100.1' })).toMatchObject({ status: 101 });
  });

  test('[P11] the header of a connection that is no trusted proxy changes nothing', async () => {
    harness = await Harness.start({
      trustedProxies: ['192.0.2.1'],
      addressRefusalsPerSecond: 1,
      addressRefusalsBurst: 3,
    });
    await badCredentials(3, '203.0.113.9');
    expect(await upgrade({ 'x-forwarded-for': '198.51.100.1' })).toMatchObject({ status: 429 });
    expect(await upgrade({})).toMatchObject({ status: 429 });
  });
});
