// The one logging port. Error: someone must act. Warn: the client's fault, or degraded. Info: life-cycle. Messages are
// constant, what varies stands in the fields; never a token, a prompt, a reply or a row.

import { pino } from 'pino';
import type { Log } from '../actors/ports.ts';

export type LogFields = Readonly<Record<string, unknown>>;

/** The port of the actors, and a level below theirs. `child` binds fields that stand in every line (node, chat). */
export interface Logger extends Log {
  debug(message: string, fields?: LogFields): void;
  child(context: Readonly<Record<string, string>>): Logger;
}

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What pino needs from a destination; a test hands over an array that grows. */
export type LogSink = { write(line: string): void };

/** Never printed, however they get into the fields. The lists name what our code calls secrets; depth two is what it uses. */
const REDACTED = ['token', 'credential', 'secret', 'key', 'apiKey', 'password', 'authorization'].flatMap((name) => [
  name,
  `*.${name}`,
]);

/** A JSON line per entry, on standard error: standard output is for what a person reads at start. */
export function createLogger(level: LogLevel, sink: LogSink = pino.destination({ fd: 2, sync: true })): Logger {
  return adapt(
    pino(
      {
        level,
        base: null,
        redact: { paths: REDACTED, censor: '[secret]' },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: describeError },
      },
      sink,
    ),
  );
}

function adapt(target: pino.Logger): Logger {
  return {
    error: (message, fields = {}) => target.error(fields, message),
    warn: (message, fields = {}) => target.warn(fields, message),
    info: (message, fields = {}) => target.info(fields, message),
    debug: (message, fields = {}) => target.debug(fields, message),
    child: (context) => adapt(target.child(context)),
  };
}

/**
 * Name, message and stack only: other properties of an error (a request, a row) may hold what is nobody's business. The
 * message of a SyntaxError quotes what was parsed, so of that only the place is told.
 */
export function describeError(error: unknown): LogFields {
  if (!(error instanceof Error)) return { message: 'a thrown value that is not an Error', type: typeof error };
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
  const { name, message, stack } = error;
  if (!(error instanceof SyntaxError)) return { name, message, stack, ...cause };
  return { name, message: 'not shown', stack: stack?.slice(stack.search(/\n +at /)), ...cause };
}
