// One message per forbidden thing. The bytes before it in the same message are frames that are done all the same.

import { LIMITS } from '../limits.ts';
import type { VectorBytes } from './vector.ts';

export type Negative = VectorBytes & { readonly name: string };

/** `[7, 1, "x", {"a": …}]`: a query whose args hold what follows. */
const ARGS = '940701a17881a161';
const CHAT = 'c410019800000000700080000000 0000c4a7'.replaceAll(' ', '');
const PING = '9108';
const lengthHex = (length: number, digits: number): string => length.toString(16).padStart(digits, '0');

const forbiddenTypes: readonly Negative[] = [
  { name: 'fixext 1', hex: `${ARGS}d40000` },
  { name: 'fixext 1, a record definition of msgpackr', hex: `${ARGS}d4724091a178` },
  { name: 'fixext 2', hex: `${ARGS}d5000000` },
  { name: 'fixext 4, a timestamp', hex: `${ARGS}d6ff00000000` },
  { name: 'fixext 8', hex: `${ARGS}d7000000000000000000` },
  { name: 'fixext 16', hex: `${ARGS}d800${'00'.repeat(16)}` },
  { name: 'ext 8', hex: `${ARGS}c7010000` },
  { name: 'ext 16', hex: `${ARGS}c800010000` },
  { name: 'ext 32', hex: `${ARGS}c9000000010000` },
  { name: 'ext as a field of a frame', hex: '92d4000008' },
  { name: 'ext instead of a frame', hex: 'd40000' },
  { name: 'ext as a key', hex: '940701a17881d4000001' },
  { name: 'the byte c1, which is never used', hex: `${ARGS}c1` },
  { name: 'an int as a key', hex: '940701a178810101' },
  { name: 'a bin as a key', hex: '940701a17881c4016101' },
  { name: 'nil as a key', hex: '940701a17881c001' },
  { name: 'an array as a key', hex: '940701a178819001' },
  { name: 'the key __proto__', hex: `940701a17881a95f5f70726f746f5f5f80` },
  { name: 'the key __proto__ as str 8', hex: `940701a17881d9095f5f70726f746f5f5f80` },
  { name: 'uint64 beyond 2^53', hex: `${ARGS}cf0020000000000000` },
  { name: 'int64 below −2^53', hex: `${ARGS}d3ffdfffffffffffff` },
];

const truncated: readonly Negative[] = [
  { name: 'an array without its items', hex: '92' },
  { name: 'a map without its last value', hex: '940701a17881a161' },
  { name: 'a str without its last byte', hex: `${ARGS}a261` },
  { name: 'a bin without its last byte', hex: `${ARGS}c40261` },
  { name: 'a length without its last byte', hex: `${ARGS}da00` },
  { name: 'an int without its last byte', hex: `${ARGS}cd00` },
  { name: 'a float without its last byte', hex: `${ARGS}cb00000000000000` },
  { name: 'a str longer than the message', hex: `${ARGS}da100061` },
  { name: 'an array longer than the message', hex: `${ARGS}dc010001` },
  { name: 'a map longer than the message', hex: `${ARGS}de07d0a16101` },
  { name: 'a frame cut off behind a whole one', hex: `${PING}9204` },
];

const overLimits: readonly Negative[] = [
  // The frame and its args are two levels; the last of these is the empty array.
  { name: 'one level too deep', hex: `${ARGS}${'91'.repeat(LIMITS.scannedDepth - 2)}90` },
  {
    name: 'one item too many',
    hex: `${ARGS}dc${lengthHex(LIMITS.scannedItems - 5, 4)}`,
    repeat: { hex: '01', times: LIMITS.scannedItems - 5 },
  },
  { name: 'an array of 2^32 − 1 items', hex: `${ARGS}ddffffffff` },
  { name: 'a map of 2^32 − 1 entries', hex: `${ARGS}dfffffffff` },
  { name: 'a str of 2^32 − 1 bytes', hex: `${ARGS}dbffffffff` },
  { name: 'a bin of 2^32 − 1 bytes', hex: `${ARGS}c6ffffffff` },
  {
    name: 'a str one byte too long',
    hex: `${ARGS}db${lengthHex(LIMITS.scannedStringBytes + 1, 8)}`,
    repeat: { hex: '61', times: LIMITS.scannedStringBytes + 1 },
  },
  {
    name: 'a bin one byte too long',
    hex: `${ARGS}c6${lengthHex(LIMITS.scannedStringBytes + 1, 8)}`,
    repeat: { hex: '00', times: LIMITS.scannedStringBytes + 1 },
  },
  { name: 'one value too many', hex: '', repeat: { hex: PING, times: LIMITS.valuesPerMessage + 1 } },
  { name: 'one byte too many', hex: '08', repeat: { hex: PING, times: LIMITS.inboundMessageBytes / 2 } },
  {
    name: 'a credential one byte too long',
    hex: `930201da${lengthHex(LIMITS.credentialBytes + 1, 4)}`,
    repeat: { hex: '61', times: LIMITS.credentialBytes + 1 },
  },
  {
    name: 'a client name one byte too long',
    hex: `940101a161d9${lengthHex(LIMITS.clientNameBytes + 1, 2)}`,
    repeat: { hex: '61', times: LIMITS.clientNameBytes + 1 },
  },
];

const badText: readonly Negative[] = [
  { name: 'NUL', hex: `${ARGS}a3610062` },
  { name: 'NUL in a key', hex: '940701a17881a10001' },
  { name: 'NUL in a name', hex: '940701a10080' },
  { name: 'a lone surrogate', hex: `${ARGS}a3eda080` },
  { name: 'a pair of surrogates', hex: `${ARGS}a6eda0bdedb880` },
  { name: 'an overlong form', hex: `${ARGS}a2c080` },
  { name: 'an overlong form of three bytes', hex: `${ARGS}a3e08080` },
  { name: 'an overlong form of four bytes', hex: `${ARGS}a4f0808080` },
  { name: 'a code point above U+10FFFF', hex: `${ARGS}a4f4908080` },
  { name: 'a lead byte that does not exist', hex: `${ARGS}a4f5808080` },
  { name: 'a continuation without a lead', hex: `${ARGS}a180` },
  { name: 'a code point cut off by the end of the str', hex: `${ARGS}a2e282` },
  { name: 'a code point cut off by another letter', hex: `${ARGS}a3e28261` },
];

const badFrames: readonly Negative[] = [
  { name: 'an empty message', hex: '' },
  { name: 'a map instead of a frame', hex: '80' },
  { name: 'an int instead of a frame', hex: '01' },
  { name: 'a frame without an op', hex: '90' },
  { name: 'a str as op', hex: '91a470696e67' },
  { name: 'a negative op', hex: '91ff' },
  { name: 'a fraction as op', hex: '91cb3ff8000000000000' },
  { name: 'hello without a client name', hex: '930101a161' },
  { name: 'hello with a version that is no int', hex: '9401a131a161a161' },
  { name: 'auth without a request', hex: '9202a161' },
  { name: 'attach with an id as text', hex: '9303a430313938c0' },
  { name: 'attach with an id of 15 bytes', hex: `9303c40f${'00'.repeat(15)}c0` },
  { name: 'attach with a negative seq', hex: `9303${CHAT}9201ff` },
  { name: 'attach with half a cursor', hex: `9303${CHAT}9101` },
  { name: 'attach with a fraction as epoch', hex: `9303${CHAT}92cb3ff800000000000001` },
  { name: 'more without a chat', hex: '9104' },
  { name: 'detach with nil', hex: '9205c0' },
  { name: 'command with an id of 15 bytes', hex: `950601c40f${'00'.repeat(15)}a17880` },
  { name: 'command without args', hex: `940601${CHAT}a178` },
  { name: 'command with an array as args', hex: `950601${CHAT}a17890` },
  { name: 'query with a negative request', hex: '9407ffa17880' },
  { name: 'query with a bin as name', hex: '940701c4017880' },
  { name: 'query with nil as args', hex: '940701a178c0' },
  { name: 'watch without a request', hex: '9109' },
  { name: 'watch with a negative cursor', hex: '930901ff' },
  { name: 'watch with a position as cursor', hex: '930901920102' },
  { name: 'a bad frame behind good ones', hex: `${PING}${PING}9104${PING}` },
];

export const CLIENT_NEGATIVES: readonly Negative[] = [
  ...forbiddenTypes,
  ...truncated,
  ...overLimits,
  ...badText,
  ...badFrames,
];

/** What a client must refuse to take from a server. */
export const SERVER_NEGATIVES: readonly Negative[] = [
  { name: 'an ext', hex: '92d4000005' },
  { name: 'a truncated value', hex: '9227' },
  { name: 'a lone surrogate', hex: '9328cd0fa4a3eda080' },
  { name: 'a value that is no frame', hex: '80' },
  { name: 'a frame without an op', hex: '90' },
  { name: 'drain without a time', hex: '9127' },
  { name: 'feed without chats', hex: '94250102c2' },
  { name: 'feed with a cursor before what it goes on from', hex: '95250201c290' },
  { name: 'feed with a chat that is no map', hex: '95250102c29101' },
  { name: 'heartbeat with a feed that is no number', hex: '94260190a178' },
  { name: 'reply with an error that is no map', hex: '942201c201' },
  { name: 'attached with an unknown outcome', hex: `9623${CHAT}a46c6f73740101c0` },
  { name: 'attached resumed without a position', hex: `9623${CHAT}a7726573756d6564c0c0c0` },
  { name: 'event with a span of 0', hex: `9724${CHAT}0305000492 0102`.replaceAll(' ', '') },
  { name: 'event with a span beyond its epoch', hex: `9724${CHAT}03050604920102` },
  { name: 'event with a payload of another form', hex: `9724${CHAT}03050109a178` },
];
