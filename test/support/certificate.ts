// A certificate for `localhost` that only the tests trust.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Certificate = {
  readonly keyFile: string;
  /** It is its own authority. */
  readonly certificateFile: string;
  remove(): void;
};

/** For the name `localhost` alone: no address of it is in there. */
export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'parley-certificate-'));
  const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  runOpenssl(['req', '-x509', ...curve, '-nodes', '-days', '2', ...names, '-keyout', keyFile, '-out', certificateFile]);
  return { keyFile, certificateFile, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Throws one line that says how to get it when it is missing. */
export function runOpenssl(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): void {
  const { error, status, stderr } = spawnSync('openssl', args, { env: environment, encoding: 'utf8' });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    throw new Error('These tests need openssl. On Debian 12 and newer: apt-get install openssl');
  }
  if (error !== undefined || status !== 0) throw new Error(`openssl failed: ${error?.message ?? stderr}`);
}
