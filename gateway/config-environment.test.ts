import { describe, expect, it } from 'vitest';
import { withoutVariables } from './config-environment.ts';

describe('withoutVariables', () => {
  it('[style 13] hides what begins with the prefix while it runs, and nothing else, and gives it back', () => {
    process.env['OTEL_EVIL'] = 'evil';
    const { PATH } = process.env;
    try {
      const seen = withoutVariables('OTEL_', () => ({ ...process.env }));
      expect(seen).not.toHaveProperty('OTEL_EVIL');
      expect(seen['PATH']).toBe(PATH);
      expect(() =>
        withoutVariables('OTEL_', () => {
          throw new Error('made nothing');
        }),
      ).toThrow('made nothing');
      expect(process.env['OTEL_EVIL']).toBe('evil');
    } finally {
      delete process.env['OTEL_EVIL'];
    }
  });
});
