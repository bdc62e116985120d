import { describe, expect, it } from 'vitest';
import { createLogger } from './logger.ts';

describe('createLogger', () => {
  it('[style 13] writes of an error its name, message, stack and cause, and nothing else that it holds', () => {
    const lines: string[] = [];
    const logger = createLogger('info', { write: (line) => lines.push(line) });
    const error = Object.assign(new TypeError('outer', { cause: new Error('inner') }), { body: 'a prompt' });
    logger.child({ node: 'n' }).error('it failed', { error });
    expect(JSON.parse(lines.join(''))).toMatchObject({
      level: 'error',
      node: 'n',
      msg: 'it failed',
      error: { name: 'TypeError', message: 'outer', cause: { name: 'Error', message: 'inner' } },
    });
    expect(lines.join('')).not.toContain('a prompt');
  });

  it('[style 13] quotes nothing that was parsed, and prints no secret of a field', () => {
    const lines: string[] = [];
    const logger = createLogger('info', { write: (line) => lines.push(line) });
    try {
      JSON.parse('my secret prompt');
    } catch (error) {
      logger.error('it failed', { error, token: 'eyJ', options: { apiKey: 'sk-1' } });
    }
    expect(lines.join('')).toMatch(/SyntaxError.*at /);
    expect(lines.join('')).not.toMatch(/secret p|prompt|eyJ|sk-1/);
  });
});
