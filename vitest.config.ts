// Three projects: `pure` are the tests beside the sources, which share nothing and so may share a process; `unit` those of
// `test/` that need nothing but Node; `service` those that need a database, several processes or much time. The first two
// are part of `npm run check`.
import { defineConfig } from 'vitest/config';

/** Tests that need a service, several processes or much time; every other test of `test/` is a unit test. */
const SERVICE_TESTS = [
  ...['storage', 'gateway', 'cluster', 'integration', 'cli', 'chaos', 'bench', 'browser', 'conformance'].map(
    (folder) => `test/${folder}/**/*.test.ts`,
  ),
  'test/sim/{sim,cluster}.test.ts',
  'test/fuzz/real.test.ts',
];

const EXCLUDED = ['**/node_modules/**', '**/.parley/**'];

const WITHOUT_SERVICE = { setupFiles: ['test/support/leaks.ts'], testTimeout: 20_000, hookTimeout: 20_000 };

export default defineConfig({
  test: {
    pool: 'forks',
    // The tests share two cores with the database and the nodes that they start.
    maxWorkers: 2,
    passWithNoTests: false,
    restoreMocks: true,
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          ...WITHOUT_SERVICE,
          name: 'pure',
          include: ['{protocol,actors,storage,gateway,loadtest}/**/*.test.ts'],
          exclude: EXCLUDED,
          // A process per file costs 0.3 s of processor time each, more than most of these files take.
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          ...WITHOUT_SERVICE,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...EXCLUDED, ...SERVICE_TESTS],
        },
      },
      {
        extends: true,
        test: {
          name: 'service',
          include: SERVICE_TESTS,
          exclude: EXCLUDED,
          setupFiles: ['test/support/leaks.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
