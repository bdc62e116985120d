// The linter is shown to find each planted fault with the project's own configuration. A linter that looks at nothing,
// or whose type-aware half did not run, passes silently.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from './sources.ts';

type Report = {
  readonly number_of_files: number;
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[];
};

const RESTRICTED_IMPORT = 'eslint(no-restricted-imports)';
const RESTRICTED_GLOBAL = 'eslint(no-restricted-globals)';
const body = Array.from({ length: 71 }, (_, i) => `  console.log(${i});`).join('\n');

/** Path, text and the rule that must fire there. */
const PLANTED: readonly (readonly [path: string, text: string, rule: string])[] = [
  [
    'actors/floating.ts',
    'export function f(g: () => Promise<void>): void {\n  g();\n}',
    'typescript(no-floating-promises)',
  ],
  [
    'actors/misused.ts',
    'export const f = (g: () => Promise<void>): void => [1].forEach(g);',
    'typescript(no-misused-promises)',
  ],
  [
    'actors/switch.ts',
    "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}",
    'typescript(switch-exhaustiveness-check)',
  ],
  [
    'actors/any.ts',
    'export function f(x: any): void {\n  g(x);\n}\nfunction g(_x: unknown): void {}',
    'typescript(no-explicit-any)',
  ],
  ['actors/unsafe.ts', "export const x: string = JSON.parse('1');", 'typescript(no-unsafe-assignment)'],
  ['actors/bang.ts', 'export const f = (x: string | null): string => x!;', 'typescript(no-non-null-assertion)'],
  ['actors/default.ts', 'export default function f(): void {}', 'import(no-default-export)'],
  ['actors/cycle-a.ts', "import { b } from './cycle-b.ts';\nexport const a = (): unknown => b;", 'import(no-cycle)'],
  ['actors/cycle-b.ts', "import { a } from './cycle-a.ts';\nexport const b = (): unknown => a;", 'import(no-cycle)'],
  ['actors/camelCase.ts', 'export const a = 1;', 'unicorn(filename-case)'],
  ['actors/long.ts', `export function f(): void {\n${body}\n}`, 'eslint(max-lines-per-function)'],
  [
    'actors/wide.ts',
    'export const f = (a: 1, b: 2, c: 3, d: 4, e: 5): unknown => [a, b, c, d, e];',
    'eslint(max-params)',
  ],
  ['actors/print.ts', "console.log('x');\nexport const a = 1;", 'eslint(no-console)'],
  ['actors/only.test.ts', "import { test } from 'vitest';\ntest.only('[x]', () => {});", 'vitest(no-focused-tests)'],
  ['actors/skip.test.ts', "import { test } from 'vitest';\ntest.skip('[x]', () => {});", 'vitest(no-disabled-tests)'],
  ['protocol/up.ts', "import { a } from '../actors/camelCase.ts';\nexport const b = a;", RESTRICTED_IMPORT],
  [
    'protocol/client/node.ts',
    "import { readFileSync } from 'node:fs';\nexport const b = readFileSync;",
    RESTRICTED_IMPORT,
  ],
  ['storage/value.ts', "import { a } from '../actors/ports.ts';\nexport const b = a;", RESTRICTED_IMPORT],
  ['storage/other.ts', "import type { A } from '../actors/host/api.ts';\nexport type B = A;", RESTRICTED_IMPORT],
  ['actors/down.ts', "import { b } from '../storage/value.ts';\nexport const a = b;", RESTRICTED_IMPORT],
  ['actors/chat/socket.ts', "import { connect } from 'node:net';\nexport const a = connect;", RESTRICTED_IMPORT],
  [
    'actors/chat/bytes.ts',
    "import { randomBytes } from 'node:crypto';\nexport const a = randomBytes;",
    RESTRICTED_IMPORT,
  ],
  ['actors/chat/clock.ts', 'export const f = (): number => Date.now();', RESTRICTED_GLOBAL],
  ['actors/chat/timer.ts', 'export const f = (): unknown => setTimeout(() => {}, 1);', RESTRICTED_GLOBAL],
  ['actors/chat/process.ts', 'export const f = (): number => process.pid;', RESTRICTED_GLOBAL],
  ['actors/chat/random.ts', 'export const f = (): number => Math.random();', 'eslint(no-restricted-properties)'],
  ['gateway/socket.ts', "import { App } from 'uWebSockets.js';\nexport const a = App;", RESTRICTED_IMPORT],
  ['gateway/load.ts', "import { a } from '../loadtest/up.ts';\nexport const b = a;", RESTRICTED_IMPORT],
  ['loadtest/up.ts', "import { a } from '../gateway/server.ts';\nexport const b = a;", RESTRICTED_IMPORT],
];

/** What is right must stay quiet: the refusals above come from the rule and not from its folder. */
const RIGHT: readonly (readonly [path: string, text: string])[] = [
  ['actors/ports.ts', 'export type A = 1;\nexport const a: A = 1;'],
  ['storage/types.ts', "import type { A } from '../actors/ports.ts';\nexport type B = A;"],
  ['actors/chat/hash.ts', "import { createHash } from 'node:crypto';\nexport const a = createHash;"],
  ['gateway/uws.ts', "import { App } from 'uWebSockets.js';\nexport const a = App;"],
  ['gateway/all.ts', "import { a } from '../actors/ports.ts';\nexport const b = a;"],
];

const folder = mkdtempSync(join(tmpdir(), 'parley-lint-'));
let report: Report;

beforeAll(async () => {
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const [path, text] of [...PLANTED, ...RIGHT]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `${text}\n`);
  }
  const oxlint = join(ROOT, 'node_modules/.bin/oxlint');
  const found = await promisify(execFile)(oxlint, ['--type-aware', '--format=json'], { cwd: folder }).catch(
    (failure: unknown) => failure as { readonly stdout: string },
  );
  report = JSON.parse(found.stdout) as Report;
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('linter', () => {
  test('[lint] it looks at every file', () => {
    expect(report.number_of_files).toBe(PLANTED.length + RIGHT.length);
  });

  for (const [path, , rule] of PLANTED) {
    test(`[lint] ${rule} fires on ${path}`, () => {
      const rules = report.diagnostics.filter((one) => one.filename === path).map((one) => one.code);
      expect(rules).toContain(rule);
    });
  }

  test('[lint] what is right passes', () => {
    const paths = RIGHT.map(([path]) => path);
    expect(report.diagnostics.filter((one) => paths.includes(one.filename))).toEqual([]);
  });
});
