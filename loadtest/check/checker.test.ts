// The checker itself: correct histories have no violation, and each kind of violation, planted, is found.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistoryChecker, type Verdict } from './checker.ts';
import { formatRecord, parseRecord, type HistoryRecord } from './history.ts';
import { randomHistory, randomOf } from './random-history.ts';
import { formatViolation, type Rule } from './violation.ts';

type OfType<T extends HistoryRecord['type']> = HistoryRecord & { readonly type: T };
type Records = readonly HistoryRecord[];

/** A mutation of a history that breaks it: null where the history has nothing of the kind. `pick` chooses among places. */
type Plant = (records: Records, pick: (count: number) => number) => Records | null;

/** Histories that each violation is planted into. */
const SEEDS = 24;

function check(records: Records): Verdict {
  const checker = new HistoryChecker();
  for (const record of records) checker.add(record);
  return checker.end();
}

function rulesIn({ violations }: Verdict): Rule[] {
  return [...new Set(violations.map(({ rule }) => rule))].toSorted();
}

/** Where `fits` holds, one of the places, replaced by what `change` makes of it. */
function changed<T extends HistoryRecord['type']>(
  type: T,
  change: (record: OfType<T>, index: number, records: Records) => Records | null,
): Plant {
  return (records, pick) => {
    const places = records.flatMap((record, i) => {
      const made = record.type === type ? change(record as OfType<T>, i, records) : null;
      return made === null ? [] : [{ i, made }];
    });
    const place = places[pick(places.length)];
    return place === undefined ? null : records.toSpliced(place.i, 1, ...place.made);
  };
}

function eventOf(record: HistoryRecord | undefined) {
  return record?.type === 'frame' && record.frame.op === 'event' ? { ...record, frame: record.frame } : null;
}

/** The next record of the same client is an event too: the client goes on in the same epoch. */
function goesOn({ client, frame }: OfType<'frame'>, index: number, records: Records): boolean {
  const next = records
    .slice(index + 1)
    .find((one) => 'client' in one && one.client === client && one.type !== 'sent' && one.type !== 'acked');
  const position = eventOf(next)?.frame.position;
  return position !== undefined && frame.op === 'event' && position.epoch === frame.position.epoch;
}

/** The client sees the message of that step in the same connection, event by event. */
function seesMessage({ client }: OfType<'frame'>, index: number, records: Records): boolean {
  for (const record of records.slice(index + 1)) {
    if (record.type === 'lost' && record.client === client) return false;
    const event = eventOf(record);
    if (event?.client === client && event.frame.event.kind === 'message') return true;
  }
  return false;
}

const PLANTS: Readonly<Record<string, { readonly rule: Rule; readonly plant: Plant }>> = {
  'an acknowledged message that is nowhere': {
    rule: 'a',
    plant: changed('page', (page) => without(page, ({ role }) => role === 'user')),
  },
  'a message that was taken twice': {
    rule: 'a',
    plant: changed('page', (page) => {
      const twice = page.messages.find(({ role }) => role === 'user');
      if (twice === undefined || !page.last) return null;
      const number = Math.max(...page.messages.map((one) => one.number)) + 1;
      return [{ ...page, messages: [...page.messages, { ...twice, number }] }];
    }),
  },
  'a message in the chat and in the queue': {
    rule: 'a',
    plant: changed('page', (page) => {
      const twice = page.messages.find(({ role }) => role === 'user');
      if (twice === undefined || !page.last) return null;
      const queued = { id: twice.id as OfType<'acked'>['id'], parts: [], created_by: 'somebody', created_at: 0 };
      return [{ ...page, queue: [queued] }];
    }),
  },
  'a refusal of what took effect': {
    rule: 'a',
    plant: (records) => {
      const sent = records.findLast((one) => one.type === 'sent' && one.name === 'chat.send');
      if (sent?.type !== 'sent') return null;
      const { at, client, chat, id } = sent;
      const refused = { type: 'refused', at, client, chat, id, code: 'busy' } as const;
      return records.map((one) => (one.type === 'acked' && one.id === id ? refused : one));
    },
  },
  'another reply to a repeat': {
    rule: 'a',
    plant: changed('acked', (acked, i, records) => {
      const isRepeat = records.slice(0, i).some((one) => one.type === 'acked' && one.id === acked.id);
      return isRepeat ? [{ ...acked, digest: 'another' }] : null;
    }),
  },
  'a stop that did not stop': {
    rule: 'a',
    plant: (records) => {
      const stop = records.find((one) => one.type === 'sent' && one.name === 'chat.stop');
      if (stop?.type !== 'sent') return null;
      const isIt = (value: object): boolean =>
        'turn' in value && value.turn === stop.turn && 'outcome' in value && value.outcome === 'stopped';
      const text = JSON.stringify(records, (_key, value: unknown) =>
        typeof value === 'object' && value !== null && isIt(value) ? { ...value, outcome: 'completed' } : value,
      );
      return JSON.parse(text) as Records;
    },
  },
  'a rename that came back': {
    rule: 'a',
    plant: changed('frame', (frame, i, records) => {
      const event = eventOf(frame);
      if (event?.frame.event.kind !== 'chat' || !goesOn(frame, i, records)) return null;
      const titles = records.slice(0, i).flatMap((one) => {
        const earlier = eventOf(one)?.client === frame.client ? eventOf(one)?.frame.event : undefined;
        return earlier?.kind === 'chat' && earlier.chat.title !== null ? [earlier.chat.title] : [];
      });
      const [first] = titles;
      const { chat } = event.frame.event;
      if (first === undefined || chat.title === first || titles.at(-1) === first) return null;
      return [{ ...event, frame: { ...event.frame, event: { kind: 'chat', chat: { ...chat, title: first } } } }];
    }),
  },
  'an event that is missing': {
    rule: 'b',
    plant: changed('frame', (frame, i, records) =>
      eventOf(frame) !== null && goesOn(frame, i, records) && i > 0 ? [] : null,
    ),
  },
  'a cursor that went back': {
    rule: 'b',
    plant: changed('attach', (attach) => {
      const { cursor } = attach;
      return cursor === null || cursor.seq < 2 ? null : [{ ...attach, cursor: { ...cursor, seq: cursor.seq - 1 } }];
    }),
  },
  'a cursor ahead of what was sent': {
    rule: 'b',
    plant: changed('attach', (attach) => {
      const { cursor } = attach;
      return cursor === null ? null : [{ ...attach, cursor: { ...cursor, seq: cursor.seq + 1 } }];
    }),
  },
  'a client that ends with another state': {
    rule: 'b',
    plant: changed('ended', (ended) => [
      { ...ended, state: { ...ended.state, messages: ended.state.messages.slice(1) } },
    ]),
  },
  'a fresh attach that shows something else': {
    rule: 'b',
    plant: changed('fresh', (fresh) => {
      const { chat } = fresh.state;
      return chat === null ? null : [{ ...fresh, state: { ...fresh.state, chat: { ...chat, archived: true } } }];
    }),
  },
  'a fresh attach with another message': {
    rule: 'b',
    plant: changed('fresh', (fresh) => {
      const [first, ...rest] = fresh.state.messages;
      if (first === undefined) return null;
      const messages = [{ ...first, parts: [{ type: 'text' as const, text: 'other' }] }, ...rest];
      return [{ ...fresh, state: { ...fresh.state, messages } }];
    }),
  },
  'a chat that is gone': {
    rule: 'b',
    plant: changed('attach', ({ at, client, chat }) => [
      { type: 'frame', at, client, chat, frame: { op: 'attached', chat, outcome: 'gone', position: null } },
    ]),
  },
  'another event at one position': {
    rule: 'c',
    plant: changed('frame', (frame, i, records) => {
      const event = eventOf(frame);
      if (event?.frame.event.kind !== 'turn' || event.frame.event.type !== 'started') return null;
      const at = event.frame.position;
      const isSeenTwice = records.some((one, k) => {
        const position = eventOf(one)?.frame.position;
        return k !== i && position?.epoch === at.epoch && position.seq === at.seq;
      });
      if (!isSeenTwice) return null;
      return [{ ...event, frame: { ...event.frame, event: { ...event.frame.event, model: 'another' } } }];
    }),
  },
  'a second node in one epoch': {
    rule: 'c',
    plant: changed('owner', (owner) => [owner, { ...owner, node: 'an intruder' }]),
  },
  'an attempt of another node in that epoch': {
    rule: 'c',
    plant: changed('attempt', (attempt) => [attempt, { ...attempt, node: 'an intruder' }]),
  },
  'an epoch that goes back': {
    rule: 'c',
    plant: changed('owner', (owner) => (owner.epoch < 2 ? null : [owner, { ...owner, epoch: 1, node: 'node 1' }])),
  },
  'a row of an epoch that was over': {
    rule: 'c',
    plant: changed('rows', (rows) => {
      const [first] = rows.places;
      const last = rows.places.at(-1);
      if (first === undefined || last === undefined || first === last) return null;
      return [{ ...rows, places: [...rows.places, [last[0] + 1, first[1], first[2] + 1_000]] }];
    }),
  },
  'two ends of one turn': {
    rule: 'c',
    plant: changed('frame', (frame) => {
      const event = eventOf(frame);
      if (event?.frame.event.kind !== 'turn' || event.frame.event.type !== 'ended') return null;
      return [{ ...event, frame: { ...event.frame, event: { ...event.frame.event, outcome: 'budget' } } }];
    }),
  },
  'a delta with another letter': {
    rule: 'd',
    plant: changed('frame', (frame, i, records) => {
      const event = eventOf(frame);
      if (event?.frame.event.kind !== 'block' || event.frame.event.type !== 'delta') return null;
      if (!goesOn(frame, i, records) || !seesMessage(frame, i, records)) return null;
      const text = event.frame.event.text.replace(/^./u, (letter) =>
        'ab'.repeat(2).slice(0, Buffer.byteLength(letter)),
      );
      return [{ ...event, frame: { ...event.frame, event: { ...event.frame.event, text } } }];
    }),
  },
  'a committed message without its last letter': {
    rule: 'd',
    plant: changed('frame', (frame) => {
      const event = eventOf(frame);
      if (event?.frame.event.kind !== 'message' || event.frame.event.message.role !== 'assistant') return null;
      const { message } = event.frame.event;
      const [part] = message.parts;
      if (part === undefined || !('text' in part)) return null;
      const parts = [{ ...part, text: Array.from(part.text).slice(0, -1).join('') }];
      return [{ ...event, frame: { ...event.frame, event: { kind: 'message', message: { ...message, parts } } } }];
    }),
  },
  'a loss without a retraction': {
    rule: 'd',
    plant: changed('frame', (record, i, records) => {
      const { frame } = record;
      if (frame.op !== 'attached' || frame.outcome !== 'snapshot') return null;
      const { head } = frame.piece;
      const before = records.slice(0, i).findLast((one) => eventOf(one)?.client === record.client);
      // The one who saw text that is no more: its last event was a delta.
      if (head === null || head.retracted === null || eventOf(before)?.frame.event.kind !== 'block') return null;
      const silent = { ...head, retracted: null };
      return [{ ...record, frame: { ...frame, piece: { ...frame.piece, head: silent } } }];
    }),
  },
  'an answer that the provider never gave': {
    rule: 'd',
    plant: changed('said', (said) => [{ ...said, text: `x${said.text}` }]),
  },
  'an answer that is said twice': {
    rule: 'd',
    plant: changed('page', (page) => {
      const answer = page.messages.findLast(({ role, parts }) => role === 'assistant' && parts.length > 0);
      if (answer === undefined || !page.last) return null;
      return [{ ...page, messages: [...page.messages, { ...answer, number: answer.number + 1, step: 99 }] }];
    }),
  },
  'a message that changed behind its clients': {
    rule: 'd',
    plant: changed('page', (page) => {
      const [first, ...rest] = page.messages;
      if (first === undefined) return null;
      return [{ ...page, messages: [{ ...first, created_at: first.created_at + 1 }, ...rest] }];
    }),
  },
  'a chat that answers too late': {
    rule: 'e',
    plant: (records) => {
      const calm = records.findIndex(({ type }) => type === 'calm');
      return records.map((one, i) => (i > calm && one.type === 'frame' ? { ...one, at: one.at + 11_000 } : one));
    },
  },
  'a chat that does not answer': {
    rule: 'e',
    plant: (records) => {
      const calm = records.findIndex(({ type }) => type === 'calm');
      return records.filter((one, i) => i < calm || one.type !== 'frame');
    },
  },
  'faults that nobody said were over': {
    rule: 'e',
    plant: (records) => records.filter(({ type }) => type !== 'calm'),
  },
};

function without(page: OfType<'page'>, fits: (message: OfType<'page'>['messages'][number]) => boolean): Records | null {
  const at = page.messages.findIndex(fits);
  return at === -1 ? null : [{ ...page, messages: page.messages.toSpliced(at, 1) }];
}

describe('[P1][P2][P3][P4][P5][P12] the history checker', () => {
  test('finds nothing in correct histories, with crashes, cuts, repeats, stops and retractions', () => {
    const met = { retractions: 0, repeated: 0, resumed: 0 };
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const { violations, looked } = check(randomHistory(seed));
        expect(violations.map(formatViolation)).toEqual([]);
        met.retractions += looked.retractions;
        met.repeated += looked.repeated;
        met.resumed += looked.resumed;
        return true;
      }),
      { numRuns: 100 },
    );
    expect(Math.min(met.retractions, met.repeated, met.resumed)).toBeGreaterThan(30);
  });

  test.each(Object.entries(PLANTS))('finds %s', (_, { rule, plant }) => {
    let planted = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const fraction = randomOf(seed);
      const mutated = plant(randomHistory(seed), (count) => Math.floor(fraction() * count));
      if (mutated === null) continue;
      planted += 1;
      const verdict = check(mutated);
      expect({ seed, rules: rulesIn(verdict) }).toEqual({ seed, rules: expect.arrayContaining([rule]) as unknown });
    }
    expect(planted).toBeGreaterThanOrEqual(3);
  });

  test('fails a history in which there was nothing to look at', () => {
    const { violations } = check([]);
    expect([...new Set(violations.map(({ rule }) => rule))]).toEqual(['a', 'b', 'c', 'd']);
  });

  test('says of each violation the rule, the chat, the client, the position and a sentence', () => {
    const records = randomHistory(7);
    const mutated = PLANTS['an event that is missing']?.plant(records, () => 12) ?? records;
    const [first] = check(mutated).violations;
    expect(formatViolation(first ?? never())).toMatch(
      /^\(b\) chat [0-9a-f-]{36}, client (phone|desk), at \d+\.\d+: Events are missing: the next one covers 1 up to \d+\.\d+\.$/,
    );
  });

  test('keeps the first violations and counts the others', () => {
    const owners = Array.from({ length: 300 }, (_, i): HistoryRecord => {
      const chat = `chat ${i}` as OfType<'owner'>['chat'];
      return { type: 'attempt', chat, epoch: 1, node: 'one' };
    });
    const intruders = owners.map((one) => ({ ...(one as OfType<'attempt'>), node: 'two' }));
    const { violations, count } = check([...owners, ...intruders]);
    expect([violations.length, count >= 300]).toEqual([100, true]);
  });

  test('judges a history the same from its lines', () => {
    const records = randomHistory(3);
    const read = records.map((record) => parseRecord(formatRecord(record)) as HistoryRecord);
    expect(check(read)).toEqual(check(records));
  });

  test.each([
    ['no JSON', '{', 'it is no JSON'],
    ['no object', '1', 'it is no object'],
    ['an unknown type', '{"type":"other"}', 'there is no type other'],
    ['a field too few', '{"type":"lost","at":1}', 'a record of type lost lacks client'],
  ])('refuses a line with %s', (_, line, fault) => {
    expect(parseRecord(line)).toEqual({ fault });
  });
});

function never(): never {
  throw new Error('there was no violation');
}
