// One Postgres for all test files of a run: `inject('postgresUrl')` gives its URL, `createDatabase` a database in it.

import type { TestProject } from 'vitest/node';

import { start, type TestServer } from './postgres.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}

let server: TestServer | null = null;

export async function setup(project: TestProject): Promise<void> {
  server = await start();
  project.provide('postgresUrl', server.url);
}

export async function teardown(): Promise<void> {
  await server?.stop();
  server = null;
}
