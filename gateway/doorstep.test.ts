import { describe, expect, test } from 'vitest';
import { Doorstep } from './doorstep.ts';
import { GATEWAY_LIMITS } from './limits.ts';
import { connectionRoom, openFilesMax } from './open-files.ts';

const RULES = { unfinishedMax: 8, connectsPerSecond: 1, connectsBurst: 2 };

describe('doorstep', () => {
  test('[P11] up to half of the bound everybody may stand there', () => {
    const doorstep = new Doorstep(RULES);
    expect([1, 2, 3, 4].map(() => doorstep.arrive('flood', 0))).toEqual([true, true, true, true]);
    expect(doorstep.arrive('flood', 0)).toBe(false);
    expect(doorstep.unfinished).toBe(5);
  });

  test('[P11] beyond it whoever floods is cut, and others still come in', () => {
    const doorstep = new Doorstep(RULES);
    for (let i = 0; i < 5; i++) doorstep.arrive('flood', 0);
    expect(doorstep.arrive('other', 0)).toBe(true);
    expect(doorstep.arrive('flood', 0)).toBe(false);
    expect(doorstep.arrive('flood', 1_000)).toBe(true);
  });

  test('[P11] at the bound nobody more may stand there, and who leaves makes room', () => {
    const doorstep = new Doorstep(RULES);
    const arrivals = Array.from({ length: 10 }, (_, i) => doorstep.arrive(`address ${i}`, 0));
    expect(arrivals).toEqual([...Array.from({ length: 8 }, () => true), false, false]);
    for (let i = 0; i < 3; i++) doorstep.leave();
    expect(doorstep.arrive('late', 0)).toBe(true);
  });
});

describe('open files', () => {
  test('[P11] connections leave room for the files of the node', () => {
    expect(connectionRoom(50_000, null)).toEqual({ sessionsMax: 50_000, unfinishedMax: GATEWAY_LIMITS.unfinishedMax });
    expect(connectionRoom(50_000, 20_000)).toEqual({ sessionsMax: 15_648, unfinishedMax: 4_096 });
    expect(connectionRoom(100, 20_000)).toEqual({ sessionsMax: 100, unfinishedMax: 4_096 });
    expect(connectionRoom(50_000, 1_024)).toEqual({ sessionsMax: 512, unfinishedMax: 256 });
  });

  test('[P11] a system that does not tell its limit sets none', () => {
    expect(openFilesMax('/does/not/exist')).toBeNull();
  });
});
