// Where the store reports: constant messages, fields beside them, never rows or text of users.

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export type StoreLog = {
  /** Somebody must act. */
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
};

export const SILENT_LOG: StoreLog = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};
