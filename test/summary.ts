// `node test/summary.ts <report.json> <exit of check> <exit of tests>`: prints the last line of .ci/run.
import { existsSync, readFileSync } from 'node:fs';
import { summarise, type TestReport } from './tidy/summary.ts';

const [path = '', check, tests] = process.argv.slice(2);
const report = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as TestReport) : null;
const { line, code } = summarise(report, { check: Number(check), tests: Number(tests) });
console.log(line);
process.exitCode = code;
