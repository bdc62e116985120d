// The tidy rules on the project itself. That each of them fires is shown in test/tidy/rules.test.ts by planted faults.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { must } from '../protocol/assert.ts';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import { ERRORS } from '../protocol/errors.ts';
import { EVENT_KINDS } from '../protocol/events.ts';
import { OPS } from '../protocol/frames.ts';
import * as documents from './tidy/document-rules.ts';
import { checkImports } from './tidy/import-rules.ts';
import { type Fault, formatFault, readSources, ROOT, type SourceFile } from './tidy/sources.ts';
import { TEXT_RULES } from './tidy/text-rules.ts';

const files = readSources();
const code = files.filter((file) => file.path.endsWith('.ts'));

function file(path: string): SourceFile {
  return must(
    files.find((one) => one.path === path),
    `${path} is part of the project`,
  );
}

function scripts(): Set<string> {
  const manifest = JSON.parse(file('package.json').text) as { readonly scripts: Record<string, string> };
  return new Set(Object.keys(manifest.scripts));
}

function expectNone(faults: readonly Fault[]): void {
  expect(faults.map(formatFault)).toEqual([]);
}

describe('tidy', () => {
  test('[tidy] the rules look at the whole project', () => {
    for (const folder of ['protocol', 'storage', 'actors', 'gateway', 'loadtest', 'test']) {
      expect(
        code.some((one) => one.path.startsWith(`${folder}/`)),
        folder,
      ).toBe(true);
    }
    expect(code.length).toBeGreaterThan(40);
  });

  for (const [name, rule] of Object.entries(TEXT_RULES)) {
    test(`[tidy] ${name}`, () => expectNone(rule(files)));
  }

  test('[tidy] folders point one way', () => {
    const { faults, judged } = checkImports(code);
    expectNone(faults);
    expect(judged).toBeGreaterThan(code.length);
  });

  test('[tidy] documented commands exist', () => expectNone(documents.documentedCommands(files, scripts())));

  test('[tidy] documented links lead somewhere', () => {
    expectNone(documents.documentedLinks(files, (path) => existsSync(join(ROOT, path))));
  });

  test('[tidy] the specification names every code, op and kind', () => {
    const names = [ERRORS, CLOSE_CODES, EVENT_KINDS, OPS].flatMap((catalogue) => Object.keys(catalogue));
    expect(names.length).toBeGreaterThan(60);
    expectNone(documents.namedIn(file('protocol/SPEC.md'), names));
  });

  test('[tidy] every trap of the model APIs names tests that exist', () => {
    const { faults, judged } = documents.namedTests(file('actors/SPEC.md'), code);
    expectNone(faults);
    expect(judged).toBeGreaterThan(80);
  });

  test('[tidy] no rule has the number of another', () => expectNone(documents.numberedRules(files)));

  test('[tidy] every decision is numbered and indexed', () => {
    expect(files.filter((one) => one.path.startsWith('adr/')).length).toBeGreaterThan(1);
    expectNone(documents.decisions(files));
  });

  test('[tidy] dependencies have exact versions', () => expectNone(documents.exactVersions(file('package.json'))));

  test('[tidy] the lock names no host and every optional dependency', () => {
    expectNone([...documents.hostlessLock(readLock()), ...documents.completeLock(readLock())]);
  });
});

function readLock(): SourceFile {
  const path = 'package-lock.json';
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}
