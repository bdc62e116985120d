// Judges a history that was written to a file: `npm run check:history -- FILE`.

import { createReadStream } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { HistoryChecker } from './checker.ts';
import { parseRecord } from './history.ts';
import { formatViolation, RULES } from './violation.ts';

const EXIT = { clean: 0, violated: 1, misuse: 2 } as const;

const USAGE = `npm run check:history -- FILE

Judges a history: JSON lines, as npm run chaos writes them with --history. The rules:
${Object.entries(RULES)
  .map(([letter, rule]) => `  (${letter}) ${rule}`)
  .join('\n')}

Exit code: 0 when nothing is broken, 1 when something is or nothing was looked at, 2 when FILE cannot be read.
`;

async function main(): Promise<number> {
  const [file, ...more] = process.argv.slice(2);
  if (file === '--help' || file === '-h') {
    process.stdout.write(USAGE);
    return EXIT.clean;
  }
  if (file === undefined || more.length > 0) throw new Error('name one file');
  const checker = new HistoryChecker();
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    line += 1;
    const record = parseRecord(text);
    if ('fault' in record) throw new Error(`line ${line}: ${record.fault}`);
    checker.add(record);
  }
  const { violations, count, looked } = checker.end();
  for (const violation of violations) process.stdout.write(`${formatViolation(violation)}\n`);
  if (count > violations.length) process.stdout.write(`… and ${count - violations.length} more\n`);
  process.stdout.write(`${JSON.stringify({ violations: count, ...looked })}\n`);
  return count === 0 ? EXIT.clean : EXIT.violated;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`check: ${error instanceof Error ? error.message : String(error)} (--help says more)\n`);
  return EXIT.misuse;
});
