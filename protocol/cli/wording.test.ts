import { describe, expect, test } from 'vitest';
import { errorBody } from '../errors.ts';
import type { TurnId } from '../ids.ts';
import { describeCompaction, describeEnd, describeError, describeLoss, describeRetry, formatDelay } from './wording.ts';
import { ago } from './transcript.ts';

describe('wording', () => {
  test('[wording] delays', () => {
    expect([400, 1234, 2000, 12_345, 60_000, 65_400].map(formatDelay)).toEqual([
      '0.4 s',
      '1.2 s',
      '2 s',
      '12 s',
      '1 min',
      '1 min 5 s',
    ]);
  });

  test('[wording] a retry names its cause, the wait and the next attempt', () => {
    const retry = { attempt: 1, delay_ms: 2000, at: 0, error: errorBody('model_overloaded') };
    expect(describeRetry(retry)).toBe('the model is overloaded, trying again in 2 s (attempt 2)');
    const other = { ...retry, error: { ...errorBody('internal'), message: 'Something\u001b[31m broke.' } };
    expect(describeRetry(other)).toBe('something broke, trying again in 2 s (attempt 2)');
  });

  test('[wording] the end of a turn', () => {
    expect(describeEnd('completed', null)).toBeNull();
    expect(describeEnd('stopped', null)).toEqual({ tone: 'dim', text: 'stopped' });
    expect(describeEnd('error', errorBody('model_silent'))).toEqual({
      tone: 'error',
      text: 'The model provider sent nothing for too long. [model_silent]',
    });
    expect(describeEnd('error', null)?.tone).toBe('error');
  });

  test('[wording] a chat that is made smaller says how full it is, and what came of it where no marker does', () => {
    const started = { kind: 'compaction', type: 'started', turn: 't' as TurnId, source: 'manual' } as const;
    const sized = { ...started, context_tokens: 1234, context_limit_tokens: 8000 };
    expect(describeCompaction(sized)?.text).toBe(
      'making the chat smaller for the model: it holds about 1,234 of 8,000 tokens',
    );
    const unknown = { ...started, context_tokens: null, context_limit_tokens: null };
    expect(describeCompaction(unknown)?.text).toBe('making the chat smaller for the model');
    const ended = (outcome: 'compacted' | 'cut' | 'failed'): string | undefined =>
      describeCompaction({ ...started, type: 'ended', outcome, context_tokens: null, left_tokens: null })?.text;
    expect(ended('compacted')).toBeUndefined();
    expect([ended('cut'), ended('failed')]).toEqual([
      'no summary could be made: the model sees only the end of the chat',
      'the chat could not be made smaller: it stays as it was',
    ]);
  });

  test('[wording] errors and losses stay on one line', () => {
    expect(describeError({ ...errorBody('internal'), message: 'a\nb' })).toBe('a b [internal]');
    expect(describeLoss({ retryInMs: 1200, reason: 'The connection was lost (1006).' })).toBe(
      'connection lost, reconnecting in 1.2 s …',
    );
    expect(describeLoss({ retryInMs: 1200, reason: 'The server is going away.' })).toBe(
      'connection lost, reconnecting in 1.2 s … The server is going away.',
    );
  });

  test('[wording] how long ago', () => {
    expect([-5, 59_000, 61_000, 3_600_000 * 3, 86_400_000 * 12].map(ago)).toEqual([
      'just now',
      'just now',
      '1 min ago',
      '3 h ago',
      '12 d ago',
    ]);
  });
});
