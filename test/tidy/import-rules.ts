// Folders point one way. The linter says so too, by the text of the specifier; here the specifier is resolved, types and
// tests included, and the number of imports that were looked at is given back: a checker that sees none passes silently.
import { posix } from 'node:path';
import type { Fault, SourceFile } from './sources.ts';

type Import = { readonly from: SourceFile; readonly line: number; readonly specifier: string; readonly types: boolean };

/** Folder → the folders that it may import. */
const DIRECTIONS: Readonly<Record<string, readonly string[]>> = {
  protocol: ['protocol'],
  storage: ['storage', 'protocol'],
  actors: ['actors', 'protocol'],
  gateway: ['gateway', 'storage', 'actors', 'protocol'],
  loadtest: ['loadtest', 'protocol'],
  test: ['test', 'loadtest', 'gateway', 'storage', 'actors', 'protocol'],
};

/** What the browser's side of the protocol may take from outside. */
const CLIENT_PACKAGES = new Set(['msgpackr', 'zod', 'zod/mini']);
/** The server, and what is compared with it. */
const UWS_FILES = new Set(['gateway/uws.ts', 'test/bench/support/bare-uws.ts']);
/** Of node:crypto only hashing, which is pure: the linter sees to the names. */
const CHAT_PACKAGES = new Set(['xstate', 'node:crypto']);

/** Packages that one folder knows: everybody else has a port or plain numbers. */
const KEPT: Readonly<Record<string, string>> = {
  '@prometheus-io/client': 'gateway/metrics/',
  '@opentelemetry/api': 'gateway/tracing/open-telemetry.ts',
  '@opentelemetry/sdk-trace': 'gateway/tracing/open-telemetry.ts',
  '@opentelemetry/exporter-trace-otlp-http': 'gateway/tracing/open-telemetry.ts',
};

const STATEMENT =
  /^[ \t]*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^'\n]+)'|\bimport\(\s*'([^'\n]+)'|new URL\(\s*'([^'\n]+\.ts)'/gm;

export function importsOf(file: SourceFile): Import[] {
  return [...file.text.matchAll(STATEMENT)].flatMap((match) => {
    const specifier = match[2] ?? match[3] ?? match[4];
    if (specifier === undefined) return [];
    const line = file.text.slice(0, match.index).split('\n').length;
    return [{ from: file, line, specifier, types: match[1] !== undefined }];
  });
}

/** The faults, and how many imports were judged. */
export function checkImports(files: readonly SourceFile[]): { readonly faults: Fault[]; readonly judged: number } {
  const imports = files
    .filter((file) => file.path.endsWith('.ts') && !file.path.startsWith('test/tidy/'))
    .flatMap(importsOf);
  const faults = imports.flatMap((one) => {
    const what = one.specifier.startsWith('.') ? judgeOurs(one) : judgePackage(one);
    return what === null ? [] : [{ path: one.from.path, line: one.line, what }];
  });
  return { faults, judged: imports.length };
}

function judgeOurs({ from, specifier, types }: Import): string | null {
  const target = posix.join(posix.dirname(from.path), specifier);
  const [folder = '', targetFolder = ''] = [from.path.split('/')[0], target.split('/')[0]];
  if (!target.includes('/')) return null;
  if (folder === 'storage' && /^actors\/([a-z]+-)?ports\.ts$/.test(target)) {
    return types || isTest(from) ? null : 'storage takes types only from the ports of actors';
  }
  const allowed = DIRECTIONS[folder];
  if (allowed === undefined) return null;
  if (isTest(from) && targetFolder === 'test') return null;
  if (!allowed.includes(targetFolder)) return `${folder} may not import ${target}`;
  if (from.path.startsWith('protocol/client/') && target.startsWith('protocol/cli/')) {
    return 'the client library may not import the terminal client';
  }
  return null;
}

function judgePackage({ from, specifier }: Import): string | null {
  if (specifier === 'uWebSockets.js' && !UWS_FILES.has(from.path)) return 'only gateway/uws.ts imports uWebSockets.js';
  if (isTest(from)) return null;
  const keeper = KEPT[specifier];
  if (keeper !== undefined && !from.path.startsWith(keeper)) return `only ${keeper} imports ${specifier}`;
  if (from.path.startsWith('protocol/client/') && !CLIENT_PACKAGES.has(specifier)) {
    return `the client library runs in browsers: it may not import ${specifier}`;
  }
  if (from.path.startsWith('actors/chat/') && !CHAT_PACKAGES.has(specifier)) {
    return `a chat reaches the world through its ports: it may not import ${specifier}`;
  }
  return null;
}

function isTest(file: SourceFile): boolean {
  return file.path.endsWith('.test.ts') || file.path.startsWith('test/');
}
