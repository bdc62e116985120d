// For libraries that read variables of the process on their own account and take no option against it.

/** Runs `make` while no variable with the prefix is set. Synchronous, so that nobody else runs without them. */
export function withoutVariables<T>(prefix: string, make: () => T): T {
  const hidden = Object.entries(process.env).filter(([name]) => name.startsWith(prefix));
  for (const [name] of hidden) delete process.env[name];
  try {
    return make();
  } finally {
    for (const [name, value] of hidden) process.env[name] = value;
  }
}

/**
 * Exempts every host from the proxies of the environment. With `NODE_USE_ENV_PROXY=1` or `--use-env-proxy` Node puts its own
 * agent under `fetch`, and prompts and keys would go wherever `HTTP_PROXY` says. To delete those variables is too late, the
 * agent has read them before any of our code runs; the exceptions it reads anew, the name in small letters first.
 */
export function ignoreProxies(): void {
  process.env['no_proxy'] = '*';
}
