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
