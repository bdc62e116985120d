// Tidy rules about the text of a file: what the linter cannot say. Each is a pure function from files to faults, so that
// a planted text shows that it fires.
import { type Fault, matches, type SourceFile } from './sources.ts';

type Rule = (files: readonly SourceFile[]) => Fault[];

const LINES_MAX = 500;
/** The rules' own planted faults. */
const PLANTED = 'test/tidy/';

const isCode = (file: SourceFile): boolean => file.path.endsWith('.ts');
const isTest = (file: SourceFile): boolean => file.path.endsWith('.test.ts') || file.path.startsWith('test/');

function perFile(applies: (file: SourceFile) => boolean, check: (file: SourceFile) => Fault[]): Rule {
  return (files) => files.filter((file) => !file.path.startsWith(PLANTED) && applies(file)).flatMap(check);
}

export const shortFiles: Rule = perFile(isCode, (file) => {
  const lines = file.text.split('\n').length - 1;
  return lines > LINES_MAX
    ? [{ path: file.path, line: LINES_MAX, what: `has ${lines} lines: past ${LINES_MAX} it is two files` }]
    : [];
});

/** Words separated by `-`; a dot before a suffix such as `.test`. Names that tools or readers expect are in capitals. */
const KEBAB = /^\.?[a-z0-9]+(?:[-.][a-z0-9]+)*$/;
const NUMBERED_SQL = /^\d{4}[-_][a-z0-9_-]+\.sql$/;
const CAPITALS = /^[A-Z]+(?:\.md)?$/;

export const kebabNames: Rule = (files) =>
  files.flatMap((file) => {
    const bad = file.path
      .split('/')
      .filter((name) => !KEBAB.test(name) && !NUMBERED_SQL.test(name) && !CAPITALS.test(name));
    return bad.map((name) => ({ path: file.path, line: 1, what: `the name ${name} is not kebab-case` }));
  });

const DEFAULT_EXPORT = /^export\s+default\b|\bas\s+default\b/gm;

export const namedExports: Rule = perFile(
  (file) => isCode(file) && file.path !== 'vitest.config.ts',
  (file) => matches(file, DEFAULT_EXPORT, 'export by name, not by default'),
);

const REEXPORT = /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s*(?:as\s+\w+\s+)?from\b/gm;

export const noBarrels: Rule = perFile(
  (file) => isCode(file) && file.path !== 'protocol/client/index.ts',
  (file) => matches(file, REEXPORT, 'import from where it is defined; the one entry is protocol/client/index.ts'),
);

const UNFINISHED = /\b(?:TODO|FIXME|XXX|HACK)\b/g;

export const nothingUnfinished: Rule = perFile(
  () => true,
  (file) => matches(file, UNFINISHED, 'finish it, or write it up as a gap'),
);

const SKIPPED = /\b(?:test|it|describe|suite)(?:\.\w+)*\.(?:skip|only|todo|skipIf|runIf|fails)\b/g;

export const noSkippedTests: Rule = perFile(isTest, (file) => matches(file, SKIPPED, 'every test runs, always'));

const SLEEP = /\bset(?:Timeout|Interval)\s*\(|\btimers\/promises\b|\bAtomics\.wait\b|\bawait\s+sleep\s*\(/g;

/** A benchmark measures over a span of time: it waits by nature. Its tests do not. */
const isBenchmark = (file: SourceFile): boolean =>
  file.path.startsWith('test/bench/') && !file.path.endsWith('.test.ts');

export const noSleepsInTests: Rule = perFile(
  (file) => isCode(file) && isTest(file) && !isBenchmark(file),
  (file) => matches(file, SLEEP, 'await an event or step a simulated clock (a deadline: AbortSignal.timeout)'),
);

const TITLE = /(?:^|[^.\w])(test|it|describe|suite)(?:\.\w+)*\(\s*(['"`])(\[?)[^\n]*/g;

/** A test is titled by itself or by the group that it is in. */
export const titledTests: Rule = perFile(
  (file) => file.path.endsWith('.test.ts'),
  (file) => {
    const faults: Fault[] = [];
    let groupTitled = false;
    for (const match of file.text.matchAll(TITLE)) {
      const titled = match[3] === '[';
      if (match[1] === 'describe' || match[1] === 'suite') groupTitled = titled;
      else if (!titled && !groupTitled) {
        const line = file.text.slice(0, match.index + 1).split('\n').length;
        faults.push({ path: file.path, line, what: 'a title begins with the rule that it enforces, in brackets' });
      }
    }
    return faults;
  },
);

const ENVIRONMENT = /\bprocess\.env\b|\benv\b[^;]*from\s+'node:process'/g;
const READS_ENVIRONMENT = /^(?:gateway\/config(?:\.ts|[-/].*)|protocol\/cli\/.*|test\/.*|vitest\.config\.ts)$/;

export const environmentInConfig: Rule = perFile(
  (file) => isCode(file) && !READS_ENVIRONMENT.test(file.path),
  (file) => matches(file, ENVIRONMENT, 'the configuration is read in gateway/config.ts and passed down'),
);

const VARIABLE_MESSAGE = /\b\w*log(?:ger)?\.(?:error|warn|info|debug)\((?!\s*'[^'\n]+'\s*[,)])[^\n]*/gi;

/** What varies stands in fields: a message can be searched for, and no text of somebody's gets into it. */
export const constantLogMessages: Rule = perFile(
  (file) => isCode(file) && !isTest(file) && !file.path.startsWith('loadtest/'),
  (file) => matches(file, VARIABLE_MESSAGE, 'a message of the log is one literal, what varies are its fields'),
);

const OWN_PATH = /(?<![\w.:/])\/(?:home|root|work|Users|mnt)\/[\w.]|\b[A-Z]:\\Users\\/g;

export const noPathsOfAMachine: Rule = perFile(
  () => true,
  (file) => matches(file, OWN_PATH, 'a path of somebody’s machine'),
);

const UNEXPLAINED = /(?:eslint|oxlint)-disable(?:-\w+)*(?![^\n]*--)[^\n]*/g;
const TYPES_OFF = /@ts-(?:ignore|nocheck|expect-error)\b/g;

export const explainedExceptions: Rule = perFile(isCode, (file) => [
  ...matches(file, UNEXPLAINED, 'an exception from the linter says why behind " -- "'),
  ...matches(file, TYPES_OFF, 'no exception from the types'),
]);

export const TEXT_RULES = {
  shortFiles,
  kebabNames,
  namedExports,
  noBarrels,
  nothingUnfinished,
  noSkippedTests,
  noSleepsInTests,
  titledTests,
  environmentInConfig,
  constantLogMessages,
  noPathsOfAMachine,
  explainedExceptions,
} as const satisfies Record<string, Rule>;
