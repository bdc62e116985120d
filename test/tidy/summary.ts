// The last line of .ci/run, from Vitest's JSON report: `N passed, N failed`. A file that failed outside its tests (at
// import, in a hook, by a leaked handle) and a failed check count as one failure each; no tests at all is a failure too.

export type TestReport = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
};

/** `report` null: the tests did not get as far as a report. The exit codes are those of the two npm scripts. */
export function summarise(
  report: TestReport | null,
  exits: { readonly check: number; readonly tests: number },
): { readonly line: string; readonly code: 0 | 1 } {
  const broken = (report?.testResults ?? []).filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const passed = report?.numPassedTests ?? 0;
  const counted = (report?.numFailedTests ?? 0) + broken + (exits.check === 0 ? 0 : 1);
  const failed = counted === 0 && (exits.tests !== 0 || passed === 0) ? 1 : counted;
  return { line: `${passed} passed, ${failed} failed`, code: failed === 0 ? 0 : 1 };
}
