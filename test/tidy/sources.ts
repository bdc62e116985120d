// The files that the tidy rules look at: everything a person wrote, found on the disk, so that a new file is checked
// before it is committed.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

export type SourceFile = {
  /** Relative to the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
};

/** A rule broken: where, and what to do instead. */
export type Fault = { readonly path: string; readonly line: number; readonly what: string };

export const ROOT = resolve(import.meta.dirname, '../..');

const IGNORED = new Set(['node_modules', '.git', '.parley', '__pycache__', 'coverage', 'package-lock.json']);
const TEXT = /\.(?:ts|js|mjs|py|json|md|sql|yml|yaml|html|css)$|(?:^|\/)(?:run|\.gitignore|\.editorconfig|\.npmrc)$/;

/** Every text file under the project's root. */
export function readSources(root: string = ROOT): SourceFile[] {
  const found: SourceFile[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (IGNORED.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && TEXT.test(path)) {
        found.push({ path: relative(root, path).replaceAll('\\', '/'), text: readFileSync(path, 'utf8') });
      }
    }
  };
  walk(root);
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Faults at every match of `pattern` (with the flag `g`) in a file. */
export function matches(file: SourceFile, pattern: RegExp, what: string): Fault[] {
  return [...file.text.matchAll(pattern)].map((match) => ({
    path: file.path,
    line: file.text.slice(0, match.index).split('\n').length,
    what: `${what}: ${JSON.stringify(match[0].trim().slice(0, 60))}`,
  }));
}

/** `path:line what`, as an editor can jump to. */
export function formatFault(fault: Fault): string {
  return `${fault.path}:${fault.line} ${fault.what}`;
}
