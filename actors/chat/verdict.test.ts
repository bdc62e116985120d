import { describe, expect, it } from 'vitest';
import type { AttemptResult, ModelErrorKind } from '../ports.ts';
import { CHAT_DEFAULTS } from './settings.ts';
import { judge } from './verdict.ts';

function failed(kind: ModelErrorKind, retryAfterMs: number | null = null): AttemptResult {
  const error = { kind, status: null, requestId: null, detail: 'in a test', retryAfterMs };
  return { outcome: 'failed', error, provider: null, usage: null };
}

const judged = (result: AttemptResult, attempt = 1, fraction = 0) =>
  judge({ result, attempt, settings: CHAT_DEFAULTS, fraction, sendsReasoning: true });

describe('judge', () => {
  it('[P12] tries again what may pass by itself, and nothing else', () => {
    const retried = ['overloaded', 'rate_limited', 'unavailable', 'silent', 'cut'] as const;
    const final = ['unauthorized', 'spend_limit', 'bad_request', 'model_not_found', 'context_overflow'] as const;
    expect(retried.map((kind) => judged(failed(kind)).verdict)).toEqual(retried.map(() => 'retry'));
    expect(final.map((kind) => judged(failed(kind)).verdict)).toEqual(final.map(() => 'failed'));
  });

  it('[P12] the wait doubles up to its ceiling, half of it jitter', () => {
    expect(judged(failed('overloaded'), 1, 0).delayMs).toBe(500);
    expect(judged(failed('overloaded'), 1, 0.999_999).delayMs).toBe(1_000);
    expect(judged(failed('overloaded'), 3, 0).delayMs).toBe(2_000);
    expect(judged(failed('overloaded'), 7, 0.999_999).delayMs).toBe(60_000);
  });

  it('[P12] what the provider asks for is the least wait', () => {
    expect(judged(failed('rate_limited', 30_000))).toMatchObject({
      delayMs: 30_000,
      error: { retry_after_ms: 30_000 },
    });
    expect(judged(failed('rate_limited', 1)).delayMs).toBe(500);
  });

  it('[P12] tries are bounded', () => {
    expect(judged(failed('overloaded'), CHAT_DEFAULTS.attemptsMax - 1).verdict).toBe('retry');
    expect(judged(failed('overloaded'), CHAT_DEFAULTS.attemptsMax)).toMatchObject({
      verdict: 'failed',
      error: { code: 'model_overloaded' },
    });
  });

  it('[P12] a window that overflowed in mid-answer is an error, other stop reasons are ends', () => {
    const usage = { input_tokens: 1, output_tokens: 1, cache_read_tokens: 0, cache_write_tokens: 0, estimated: false };
    const completed = (stopReason: Extract<AttemptResult, { outcome: 'completed' }>['stopReason']): AttemptResult => ({
      outcome: 'completed',
      stopReason,
      provider: null,
      usage,
      requestId: null,
    });
    expect(judged(completed('context_overflow'))).toMatchObject({
      verdict: 'failed',
      error: { code: 'context_overflow' },
    });
    for (const reason of ['end_turn', 'max_tokens', 'refusal'] as const) {
      expect(judged(completed(reason)).verdict).toBe('completed');
    }
  });
});
