import { describe, expect, test } from 'vitest';
import { Listeners } from './listeners.ts';

describe('[client] listeners', () => {
  test('[client] one that was taken out meanwhile is not called, one that was added waits for the next call', () => {
    const listeners = new Listeners<[string]>();
    const called: string[] = [];
    const stopFirst = listeners.add((what) => {
      called.push(`first ${what}`);
      stopFirst();
      stopSecond();
      listeners.add((again) => called.push(`third ${again}`));
    });
    const stopSecond = listeners.add((what) => called.push(`second ${what}`));
    listeners.call('a');
    listeners.call('b');
    expect(called).toEqual(['first a', 'third b']);
    expect(listeners.size).toBe(1);
  });
});
