// Properties of the reducer over random logs, against a model written apart from it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PositionedEvent } from '../../protocol/events.ts';
import { comparePositions, type Position } from '../../protocol/position.ts';
import { EMPTY_CHAT_STATE, type ChatState } from '../../protocol/client/chat-state.ts';
import { applyEvent } from '../../protocol/client/reducer.ts';
import { applyPiece } from '../../protocol/client/snapshot.ts';
import { applyOlderPage } from '../../protocol/client/local.ts';
import { condense, ModelChat, type Action, type Truth } from './model-chat.ts';

const actionArb: fc.Arbitrary<Action> = fc.record({
  what: fc.nat(60),
  pick: fc.nat(500),
  text: fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
});
const actionsArb = fc.array(actionArb, { minLength: 20, maxLength: 120, size: 'max' });
const choicesArb = fc.infiniteStream(fc.nat(1_000_000));

describe('[P2] the state after a position is a function of the events up to it', () => {
  test('[P2] any delivery of a log, merged and repeated and out of order, shows only true states', () => {
    let applied = 0;
    let refused = 0;
    fc.assert(
      fc.property(actionsArb, choicesArb, (actions, choices) => {
        const model = new ModelChat(actions);
        const pick = (bound: number): number => (choices.next().value as number) % bound;
        let state = fromStart(model);
        // Several condensed forms of one log: what different servers and rings would send at different times.
        const forms = [model.log, condense(model.log, () => true), condense(model.log, () => pick(2) === 0)];
        for (let round = 0; round < 40; round++) {
          const form = forms[pick(forms.length)] as PositionedEvent[];
          const from = Math.max(0, nextIndex(form, state) - 4 + pick(6));
          for (const positioned of form.slice(from, from + 1 + pick(12))) {
            // Frozen: a reducer that changed its input would throw.
            const result = applyEvent(deepFreeze(state), deepFreeze(positioned));
            refused += result.outcome === 'gap' ? 1 : 0;
            if (result.outcome !== 'applied') continue;
            state = result.state;
            applied += 1;
            expect(shown(state)).toEqual(model.truth(positioned.position));
          }
        }
        expect(shown(applyAll(state, forms[2] as PositionedEvent[]))).toEqual(model.end);
      }),
      { numRuns: 150 },
    );
    expect(applied).toBeGreaterThan(3_000);
    expect(refused).toBeGreaterThan(300);
  });

  test('[P4] a snapshot anywhere, in pieces, and the suffix behind it equal the whole log', () => {
    fc.assert(
      fc.property(actionsArb, choicesArb, fc.integer({ min: 1, max: 7 }), (actions, choices, perPiece) => {
        const model = new ModelChat(actions);
        const positions = [model.start.position, ...model.log.map(({ position }) => position)];
        const pick = (): number => (choices.next().value as number) % positions.length;
        const [first, second] = [pick(), pick()].toSorted((a, b) => a - b) as [number, number];
        const [cursor, asOf] = [positions[first] as Position, positions[second] as Position];
        const condensed = condense(model.log, () => pick() % 2 === 0);

        const whole = applyAll(fromStart(model), model.log);
        expect(shown(whole)).toEqual(model.end);

        // A client that knew everything up to its cursor, one that comes new, and one that comes new and pages back.
        const known = applyAll(fromStart(model), model.log.slice(0, first));
        expect(known.position).toEqual(cursor);
        const resumed = attached(model, known, { asOf, cursor, perPiece });
        expect(shown(resumed)).toEqual(model.truth(asOf));
        expect(shown(applyAll(resumed, condensed))).toEqual(model.end);

        const fresh = attached(model, EMPTY_CHAT_STATE, { asOf, cursor: null, perPiece });
        const paged = applyOlderPage(fresh, olderPage(model.truth(asOf), fresh));
        expect(shown(paged)).toEqual(model.truth(asOf));
        expect(shown(applyAll(paged, condensed))).toEqual(model.end);
        const late = applyAll(fresh, condensed);
        expect(late.messages).toEqual(model.end.messages.filter(({ number }) => number >= (late.oldest ?? 0)));
      }),
      { numRuns: 150 },
    );
  });
});

/** The index of the first event that leads behind the cursor. */
function nextIndex(form: readonly PositionedEvent[], { position }: ChatState): number {
  const at = form.findIndex((item) => position !== null && comparePositions(item.position, position) > 0);
  return at === -1 ? form.length : at;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

function olderPage(truth: Truth, state: ChatState): Parameters<typeof applyOlderPage>[1] {
  const messages = truth.messages.filter(({ number }) => number < (state.oldest ?? 0));
  return { history: state.history, messages, hasMore: false };
}

function attached(
  model: ModelChat,
  known: ChatState,
  { asOf, cursor, perPiece }: { readonly asOf: Position; readonly cursor: Position | null; readonly perPiece: number },
): ChatState {
  let state = known;
  const pieces = model.snapshot(asOf, cursor, perPiece);
  for (const piece of pieces) {
    expect(shown(state)).toEqual(shown(known));
    const result = applyPiece(state, asOf, piece);
    if (result.outcome !== 'applied') throw new Error(`a piece was refused: ${result.outcome}`);
    state = result.state;
  }
  return state;
}

/** A client that attached before the first event. */
function fromStart(model: ModelChat): ChatState {
  return attached(model, EMPTY_CHAT_STATE, { asOf: model.start.position, cursor: null, perPiece: 100 });
}

function applyAll(from: ChatState, log: readonly PositionedEvent[]): ChatState {
  let state = from;
  for (const positioned of log) {
    const result = applyEvent(state, positioned);
    expect(result.outcome).not.toBe('gap');
    if (result.outcome === 'applied') state = result.state;
  }
  return state;
}

function shown({ position, chat, messages, queue, turn }: ChatState): Record<keyof Truth, unknown> {
  return { position, chat, messages, queue, turn };
}
