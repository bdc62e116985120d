// Each tidy rule is shown to fire on a planted fault, and to keep quiet about what is right.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import * as documents from './document-rules.ts';
import { checkImports } from './import-rules.ts';
import { formatFault, readSources } from './sources.ts';
import { TEXT_RULES } from './text-rules.ts';

type RuleName = keyof typeof TEXT_RULES;
type Planted = readonly [path: string, text: string];

/** Rule → what it must refuse, and what it must let pass. */
const CASES: Readonly<Record<RuleName, { readonly bad: readonly Planted[]; readonly good: readonly Planted[] }>> = {
  shortFiles: {
    bad: [['actors/long.ts', 'x;\n'.repeat(501)]],
    good: [
      ['actors/long.ts', 'x;\n'.repeat(500)],
      ['protocol/SPEC.md', 'x\n'.repeat(900)],
    ],
  },
  kebabNames: {
    bad: [
      ['actors/chatHost.ts', ''],
      ['actors/chat_host.ts', ''],
      ['actors/Host/api.ts', ''],
    ],
    good: [
      ['actors/chat-host.test.ts', ''],
      ['README.md', ''],
      ['.ci/run', ''],
      ['storage/migrations/0001_first.sql', ''],
      ['adr/0001-one-writer.md', ''],
    ],
  },
  namedExports: {
    bad: [
      ['actors/a.ts', 'export default function a() {}'],
      ['actors/a.ts', 'export { a as default };'],
    ],
    good: [['vitest.config.ts', 'export default {}']],
  },
  noBarrels: {
    bad: [
      ['actors/a.ts', "export * from './b.ts';"],
      ['actors/a.ts', "export { b } from './b.ts';"],
      ['actors/a.ts', "export type { B } from './b.ts';"],
      ['actors/a.ts', "export {\n  a,\n  b,\n} from './b.ts';"],
    ],
    good: [
      ['protocol/client/index.ts', "export { b } from './b.ts';"],
      ['actors/a.ts', 'export { a };'],
    ],
  },
  nothingUnfinished: {
    bad: [
      ['actors/a.ts', '// TODO: later'],
      ['README.md', 'FIXME'],
    ],
    good: [['actors/a.ts', 'const todos = 1;']],
  },
  noSkippedTests: {
    bad: [
      ['actors/a.test.ts', "test.skip('[x]', f)"],
      ['test/a/suite.ts', "describe.concurrent.only('x', f)"],
      ['actors/a.test.ts', "test.skipIf(x)('[x]', f)"],
      ['actors/a.test.ts', "it.todo('[x]')"],
    ],
    good: [['actors/a.test.ts', "test.each(x)('[x]', f)"]],
  },
  noSleepsInTests: {
    bad: [
      ['actors/a.test.ts', 'await new Promise((r) => setTimeout(r, 5));'],
      ['test/sim/a.ts', "import { setTimeout } from 'node:timers/promises';"],
      ['test/sim/a.ts', 'await sleep(5);'],
      ['test/sim/a.ts', 'setInterval(f, 5);'],
      ['test/bench/a.test.ts', 'await sleep(5);'],
    ],
    good: [
      ['test/bench/a.ts', 'await sleep(windowMs);'],
      ['actors/a.ts', 'setTimeout(f, 5);'],
      ['actors/a.test.ts', 'AbortSignal.timeout(5)'],
    ],
  },
  titledTests: {
    bad: [
      ['actors/a.test.ts', "  test('works', f)"],
      ['actors/a.test.ts', "test.each(xs)('works', f)\nit(`works`, f)"],
      ['actors/a.test.ts', "describe('[P4] a', () => {});\ndescribe('b', () => {\n  it('works', f);"],
    ],
    good: [
      ['actors/a.test.ts', "test('[P4] resumes', f)"],
      ['actors/a.test.ts', 'test(\n  `[P4] resumes`, f)'],
      ['actors/a.test.ts', "/x/.test('a')"],
      ['actors/a.test.ts', "describe('[P4] resume', () => {\n  it('resumes', f);"],
    ],
  },
  environmentInConfig: {
    bad: [
      ['gateway/server.ts', 'process.env.PORT'],
      ['storage/a.ts', "import { env } from 'node:process';"],
    ],
    good: [
      ['gateway/config.ts', 'process.env'],
      ['gateway/config/schema.ts', 'process.env'],
      ['protocol/cli/options.ts', 'process.env'],
      ['test/support/postgres.ts', 'process.env'],
    ],
  },
  constantLogMessages: {
    bad: [
      ['gateway/a.ts', 'logger.warn(`session ${id} closed`);'],
      ['actors/a.ts', 'this.#log.error(error.message, { error });'],
      ['storage/a.ts', "this.#log.info(\n  'a ' + word,\n);"],
    ],
    good: [
      ['gateway/a.ts', "nodeLogger.info('node up', { url });"],
      ['actors/a.ts', "this.#log.error(\n  'actor crashed',\n  { error },\n);"],
      ['gateway/a.ts', "logger.info('node down');"],
      ['test/a.ts', 'logger.info(text);'],
    ],
  },
  noPathsOfAMachine: {
    bad: [
      ['README.md', 'see /home/someone/x'],
      ['actors/a.ts', "'/root/.cache'"],
    ],
    good: [['README.md', 'https://example.org/home/x and ./work/x and /tmp/x']],
  },
  explainedExceptions: {
    bad: [
      ['actors/a.ts', '// eslint-disable-next-line no-console'],
      ['actors/a.ts', '/* oxlint-disable */'],
      ['actors/a.ts', '// @ts-expect-error -- no'],
    ],
    good: [['actors/a.ts', '// eslint-disable-next-line no-console -- the one place that prints']],
  },
};

const planted = ([path, text]: Planted) => ({ path, text });

describe('text rules', () => {
  for (const [name, rule] of Object.entries(TEXT_RULES)) {
    test(`[tidy] ${name} refuses what was planted`, () => {
      const { bad, good } = CASES[name as RuleName];
      for (const one of bad) expect(rule([planted(one)]), one.join(' ')).not.toEqual([]);
      for (const one of good) expect(rule([planted(one)]).map(formatFault), one.join(' ')).toEqual([]);
    });
  }
});

describe('import rules', () => {
  const REFUSED: readonly Planted[] = [
    ['protocol/a.ts', "import { b } from '../actors/b.ts';"],
    ['protocol/a.ts', "import type { B } from '../storage/b.ts';"],
    ['protocol/a.ts', "await import('../gateway/b.ts')"],
    ['protocol/client/a.ts', "import { x } from 'node:fs';"],
    ['protocol/client/a.ts', "import { x } from 'ws';"],
    ['protocol/client/a.ts', "import { x } from '../cli/x.ts';"],
    ['storage/a.ts', "import { b } from '../actors/ports.ts';"],
    ['storage/a.ts', "import { b } from '../actors/history-ports.ts';"],
    ['storage/a.ts', "import type { B } from '../actors/chat/reports.ts';"],
    ['storage/a.ts', "import type { B } from '../actors/host/api.ts';"],
    ['actors/a.ts', "import { b } from '../storage/b.ts';"],
    ['actors/a.ts', "export {\n  a,\n} from '../gateway/b.ts';"],
    ['actors/chat/a.ts', "import { x } from 'node:net';"],
    ['actors/chat/a.ts', "import postgres from 'postgres';"],
    ['actors/a.ts', "new Worker(new URL('../storage/worker.ts', import.meta.url))"],
    ['gateway/a.ts', "import '../loadtest/b.ts';"],
    ['gateway/a.ts', "import { App } from 'uWebSockets.js';"],
    ['test/bench/a.ts', "import { App } from 'uWebSockets.js';"],
    ['actors/a.ts', "import { trace } from '@opentelemetry/api';"],
    ['gateway/a.ts', "import { Registry } from '@prometheus-io/client';"],
    ['loadtest/a.ts', "import { b } from '../gateway/b.ts';"],
    ['gateway/a.ts', "import { b } from '../test/support/b.ts';"],
    ['actors/a.test.ts', "import { b } from '../storage/b.ts';"],
  ];
  const ALLOWED: readonly Planted[] = [
    ['gateway/metrics/a.ts', "import { Registry } from '@prometheus-io/client';"],
    ['storage/a.ts', "import type { B } from '../actors/ports.ts';"],
    ['storage/a.ts', "import type { B } from '../actors/history-ports.ts';"],
    ['gateway/uws.ts', "import { App } from 'uWebSockets.js';"],
    ['test/bench/support/bare-uws.ts', "import { App } from 'uWebSockets.js';"],
    ['actors/chat/a.ts', "import { x } from 'xstate';\nimport { y } from '../models/y.ts';"],
    ['actors/a.test.ts', "import { b } from '../test/support/b.ts';"],
    ['test/a.ts', "import { b } from '../gateway/b.ts';"],
    ['protocol/cli/a.ts', "import { b } from '../client/index.ts';\nimport { x } from 'node:fs';"],
  ];

  test('[tidy] an import against the direction of the folders is refused', () => {
    for (const one of REFUSED) {
      const { faults, judged } = checkImports([planted(one)]);
      expect(judged, one.join(' ')).toBe(1);
      expect(faults, one.join(' ')).toHaveLength(1);
    }
    for (const one of ALLOWED) expect(checkImports([planted(one)]).faults.map(formatFault)).toEqual([]);
  });

  test('[tidy] the imports of the project are found', () => {
    const code = readSources().filter((file) => file.path.endsWith('.ts') && !file.path.startsWith('test/tidy/'));
    const plain = code.flatMap((file) => [...file.text.matchAll(/ from '[^'\n]+';$/gm)]).length;
    expect(checkImports(code).judged).toBeGreaterThanOrEqual(plain);
  });
});

describe('document rules', () => {
  test('[tidy] a documented command without a script is refused', () => {
    const text = 'Run `npm start`, `npm test`, `npm run nope` and `npm run -s chat`.';
    const faults = documents.documentedCommands([{ path: 'README.md', text }], new Set(['start', 'test', 'chat']));
    expect(faults.map((fault) => fault.what)).toEqual(['package.json has no script nope']);
  });

  test('[tidy] a link to nowhere is refused', () => {
    const text = '[a](b.md) [c](../protocol/SPEC.md#x) [d](https://example.org) [e](#f)';
    const faults = documents.documentedLinks([{ path: 'adr/README.md', text }], (path) => path === 'protocol/SPEC.md');
    expect(faults.map((fault) => fault.what)).toEqual(['no adr/b.md']);
  });

  test('[tidy] a code that the specification does not name is refused', () => {
    const spec = { path: 'protocol/SPEC.md', text: 'queue_full is `busy`, see `4001 slow`' };
    const faults = documents.namedIn(spec, ['busy', 'queue_full', 'slow']);
    expect(faults.map((fault) => fault.what)).toEqual(['does not name `queue_full`']);
  });

  test('[tidy] a rule with the number of another, or out of order, is refused', () => {
    const text = '1.1 one\n1.2 two\n1.2 three\n1.10 ten\n2.1 next\n1.11 late\nnot 1.1 a rule';
    const faults = documents.numberedRules([{ path: 'actors/SPEC.md', text }]);
    expect(faults.map(({ line }) => line)).toEqual([3, 6]);
  });

  test('[tidy] a trap whose test is not there, or says something else, is refused', () => {
    const spec = { path: 'actors/SPEC.md', text: '`a-ends: a cut` and `a-ends: a reset`, `b: a cut`, `suite: x y`' };
    const named = [
      { path: 'test/models/a-ends.test.ts', text: "test('[models 4.2] a cut is no success'" },
      { path: 'actors/models/b.ts', text: 'a cut' },
      { path: 'test/models/suite.ts', text: 'says x y' },
    ];
    const { faults, judged } = documents.namedTests(spec, named);
    expect(faults.map((fault) => fault.what)).toEqual(['no test of a-ends says a reset', 'no test of b says a cut']);
    expect(judged).toBe(4);
  });

  test('[tidy] a decision without number or index is refused', () => {
    const paths = ['adr/0001-a.md', 'adr/0001-b.md', 'adr/c.md', 'adr/0002-d.md'];
    const index = { path: 'adr/README.md', text: '0001-a.md 0001-b.md c.md' };
    const faults = documents.decisions([index, ...paths.map((path) => ({ path, text: '' }))]);
    expect(faults.map(({ path, what }) => `${path} ${what}`)).toEqual([
      'adr/0001-b.md has the number of 0001-a.md',
      'adr/c.md is not named NNNN-title.md',
      'adr/0002-d.md is not in adr/README.md',
    ]);
  });

  test('[tidy] a range of versions and a host in the lock are refused', () => {
    const dependencies = {
      a: '1.2.3',
      b: '^1.2.3',
      c: '~1.0.0',
      d: 'npm:d-pack@2.0.0',
      e: 'latest',
      f: '1.0.0-beta.1',
    };
    const manifest = { path: 'package.json', text: JSON.stringify({ devDependencies: dependencies }) };
    expect(documents.exactVersions(manifest).map((fault) => fault.what.split(' ')[0])).toEqual(['b', 'c', 'e']);
    const lock = { path: 'package-lock.json', text: '{"a": {"resolved": "https://registry.example/a.tgz"}}' };
    expect(documents.hostlessLock(lock)).toHaveLength(1);
    const packages = { 'node_modules/a': { optionalDependencies: { b: '1.0.0', c: '1.0.0' } }, 'node_modules/b': {} };
    const incomplete = { path: 'package-lock.json', text: JSON.stringify({ packages }) };
    expect(documents.completeLock(incomplete).map((fault) => fault.what.split(',')[0])).toEqual(['c']);
  });

  test('[tidy] the files of the project are found, what is installed is not', () => {
    const paths = readSources().map((file) => file.path);
    for (const path of ['package.json', '.ci/run', 'protocol/assert.ts', 'test/tidy/rules.test.ts']) {
      expect(paths).toContain(path);
    }
    expect(paths.filter((path) => path.includes('node_modules'))).toEqual([]);
    expect(
      must(
        readSources().find((file) => file.path === 'protocol/assert.ts'),
        'it is there',
      ).text,
    ).toContain('must');
  });
});
