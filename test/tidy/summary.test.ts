import { describe, expect, test } from 'vitest';
import { summarise, type TestReport } from './summary.ts';

const green = { check: 0, tests: 0 };

function report(numPassedTests: number, numFailedTests: number, files: TestReport['testResults'] = []): TestReport {
  return { numPassedTests, numFailedTests, testResults: files };
}

describe('summary', () => {
  test('[ci] green is green', () => {
    expect(summarise(report(3, 0), green)).toEqual({ line: '3 passed, 0 failed', code: 0 });
  });

  test('[ci] a failed test, a failed check, a broken file and an exit code each fail', () => {
    expect(summarise(report(3, 2), { check: 0, tests: 1 })).toEqual({ line: '3 passed, 2 failed', code: 1 });
    expect(summarise(report(3, 0), { check: 1, tests: 0 })).toEqual({ line: '3 passed, 1 failed', code: 1 });
    expect(summarise(report(3, 0), { check: 0, tests: 1 })).toEqual({ line: '3 passed, 1 failed', code: 1 });
    const broken = { status: 'failed', assertionResults: [{ status: 'passed' }] };
    const failed = { status: 'failed', assertionResults: [{ status: 'failed' }] };
    expect(summarise(report(3, 1, [broken, failed]), { check: 0, tests: 1 }).line).toBe('3 passed, 2 failed');
  });

  test('[ci] no test at all fails', () => {
    expect(summarise(report(0, 0), green)).toEqual({ line: '0 passed, 1 failed', code: 1 });
    expect(summarise(null, green)).toEqual({ line: '0 passed, 1 failed', code: 1 });
  });
});
