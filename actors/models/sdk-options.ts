// Options that every provider's SDK is given alike.

/** For the headers only, as a last resort: the actor's watchdog is shorter and looks at the body too. */
export const HEADERS_TIMEOUT_MS = 10 * 60 * 1000;

/** An SDK would write parts of the stream to the console, at any level that the environment names. */
export const SILENT_LOGGER = { error: ignore, warn: ignore, info: ignore, debug: ignore };

function ignore(): void {}
