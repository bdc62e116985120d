// Tidy rules about the documents and the package: what they promise is there.
import { posix } from 'node:path';
import { type Fault, matches, type SourceFile } from './sources.ts';

const isDocument = (file: SourceFile): boolean => file.path.endsWith('.md');

/** Every `npm run x`, `npm start` and `npm test` in a document is a script of package.json. */
export function documentedCommands(files: readonly SourceFile[], scripts: ReadonlySet<string>): Fault[] {
  return files.filter(isDocument).flatMap((file) =>
    [...file.text.matchAll(/\bnpm (?:run (?:-s |--silent )?([a-z][\w:-]*)|(start|test)\b)/g)].flatMap((match) => {
      const script = match[1] ?? match[2] ?? '';
      const line = lineOf(file, match.index);
      return scripts.has(script) ? [] : [{ path: file.path, line, what: `package.json has no script ${script}` }];
    }),
  );
}

/** Every relative link in a document leads to a file or folder. */
export function documentedLinks(files: readonly SourceFile[], exists: (path: string) => boolean): Fault[] {
  return files.filter(isDocument).flatMap((file) =>
    [...file.text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)].flatMap((match) => {
      const target = posix.join(posix.dirname(file.path), match[1] ?? '');
      return exists(target) ? [] : [{ path: file.path, line: lineOf(file, match.index), what: `no ${target}` }];
    }),
  );
}

/** Every name stands in the document between backticks. */
export function namedIn(document: SourceFile, names: readonly string[]): Fault[] {
  return names
    .filter((name) => !new RegExp(`\`[^\`\n]*\\b${name}\\b[^\`\n]*\``).test(document.text))
    .map((name) => ({ path: document.path, line: 1, what: `does not name \`${name}\`` }));
}

/**
 * In a table of traps each `file: words` names a test: `words` stand in `file.test.ts` (or in `file.ts`, for suites that run
 * on several subjects). Gives the faults, and how many names there were.
 */
export function namedTests(
  document: SourceFile,
  files: readonly SourceFile[],
): { readonly faults: readonly Fault[]; readonly judged: number } {
  const names = [...document.text.matchAll(/`([a-z][\w-]*): ([^`\n]+)`/g)];
  const faults = names.flatMap(({ 1: name = '', 2: words = '', index }) => {
    const named = files.filter((file) => [`${name}.test.ts`, `${name}.ts`].includes(posix.basename(file.path)));
    if (named.some((file) => file.path.includes('test') && file.text.includes(words))) return [];
    return [{ path: document.path, line: lineOf(document, index), what: `no test of ${name} says ${words}` }];
  });
  return { faults, judged: names.length };
}

/** A rule of a specification has a number of its own, in ascending order: tests name rules by them. */
export function numberedRules(files: readonly SourceFile[]): Fault[] {
  return files
    .filter(({ path }) => path.endsWith('SPEC.md'))
    .flatMap((file) => {
      let before: readonly [number, number] = [0, 0];
      return [...file.text.matchAll(/^(\d+)\.(\d+) /gm)].flatMap((match) => {
        const now = [Number(match[1]), Number(match[2])] as const;
        const isNext = now[0] > before[0] || (now[0] === before[0] && now[1] > before[1]);
        before = now;
        const what = `the rule ${now.join('.')} is not behind the one before it`;
        return isNext ? [] : [{ path: file.path, line: lineOf(file, match.index), what }];
      });
    });
}

/** `NNNN-title.md`, no number twice, each one in the index. */
export function decisions(files: readonly SourceFile[]): Fault[] {
  const index = files.find((file) => file.path === 'adr/README.md');
  const records = files.filter((file) => file.path.startsWith('adr/') && file !== index);
  const numbers = new Map<string, string>();
  return records.flatMap((file) => {
    const name = posix.basename(file.path);
    const number = /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1];
    if (number === undefined) return [{ path: file.path, line: 1, what: 'is not named NNNN-title.md' }];
    const faults: Fault[] = [];
    if (numbers.has(number))
      faults.push({ path: file.path, line: 1, what: `has the number of ${numbers.get(number)}` });
    numbers.set(number, name);
    if (index?.text.includes(name) !== true) faults.push({ path: file.path, line: 1, what: 'is not in adr/README.md' });
    return faults;
  });
}

const EXACT = /^(?:npm:(?:@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/;

/** Every dependency of package.json has an exact version. */
export function exactVersions(manifest: SourceFile): Fault[] {
  const parsed = JSON.parse(manifest.text) as Record<string, unknown>;
  return ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']
    .flatMap((group) => Object.entries((parsed[group] ?? {}) as Record<string, string>))
    .filter(([, version]) => !EXACT.test(version))
    .map(([name, version]) => ({ path: manifest.path, line: 1, what: `${name} has no exact version: ${version}` }));
}

/** The lock names no host: every installation uses the registry that its machine is set up for. */
export function hostlessLock(lock: SourceFile): Fault[] {
  return matches(lock, /"resolved":\s*"[^"]*"/g, 'a lock entry names a host');
}

type Lock = {
  readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
};

/**
 * Every optional dependency has an entry, those of other platforms too: npm 11 refuses to install from a lock without
 * them, and npm leaves them out when it writes the lock against a registry that lacks them.
 */
export function completeLock(lock: SourceFile): Fault[] {
  const { packages } = JSON.parse(lock.text) as Lock;
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages))
      .map((name) => ({ path: lock.path, line: 1, what: `${name}, an optional dependency of ${path}, has no entry` })),
  );
}

function lineOf(file: SourceFile, index: number): number {
  return file.text.slice(0, index).split('\n').length;
}
