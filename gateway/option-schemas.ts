// What an option is, and how the values of options are read: the parts of which `config-options.ts` is made.

import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { parseDatabaseUrl } from '../storage/database-url.ts';
import { StorageError } from '../storage/errors.ts';
import { isNetwork } from './client-address.ts';

export type Option<T> = {
  readonly env: string;
  /** Never printed, and no flag. */
  readonly secret: boolean;
  readonly unit: string;
  /** As a person would write it; null: not set. */
  readonly default: string | null;
  readonly doc: string;
  /** From the text that was given. */
  readonly schema: z.ZodType<T, string>;
};

/** As the catalogue takes them: providers' names of models are opaque, but have no blanks. */
export const MODEL_NAME = /^[\w.:@/-]{1,200}$/;

const SYSTEM_PROMPT_BYTES_MAX = 128 * 1024;

export const text = z.string().min(1, 'must not be empty');
export const list = z.string().transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

export function whole(min: number, max: number): z.ZodType<number, string> {
  const wanted = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, wanted)
    .transform(Number)
    .refine((value) => value >= min && value <= max, wanted);
}

/** `id=figure`, separated by commas. */
export function byModel(figure: z.ZodType<number, string>): z.ZodType<ReadonlyMap<string, number>, string> {
  const wanted = 'must be pairs such as compatible/qwen3:8b=32768, separated by commas';
  const pair = z.string().transform((value, context): readonly [string, number] => {
    const at = value.lastIndexOf('=');
    const model = value.slice(0, Math.max(0, at)).trim();
    const parsed = figure.safeParse(value.slice(at + 1).trim());
    if (MODEL_NAME.test(model) && parsed.success) return [model, parsed.data];
    context.addIssue({
      code: 'custom',
      message: parsed.success ? wanted : (parsed.error.issues[0]?.message ?? wanted),
    });
    return z.NEVER;
  });
  return list.pipe(z.array(pair)).transform((pairs): ReadonlyMap<string, number> => new Map(pairs));
}

export function url(protocols: readonly string[]): z.ZodType<string, string> {
  return z.string().refine(
    (value) => {
      const parsed = URL.parse(value);
      return parsed !== null && protocols.includes(parsed.protocol) && parsed.hostname !== '';
    },
    `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  );
}

export function option<T>(fields: Omit<Option<T>, 'secret'> & { readonly secret?: true }): Option<T> {
  return { secret: false, ...fields };
}

/** What is `null` by default, is `null` when nobody sets it. */
export function optional<T>(
  fields: Omit<Option<T>, 'secret' | 'default'> & { readonly secret?: true },
): Option<T> & { readonly default: null } {
  return { secret: false, ...fields, default: null };
}

export const databaseUrl = z.string().superRefine((value, context) => {
  try {
    parseDatabaseUrl(value);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    context.addIssue({ code: 'custom', message: error.message.replace(/^DATABASE_URL /, '') });
  }
});

export const origin = z.string().refine((value) => {
  const parsed = URL.parse(value);
  return parsed !== null && parsed.origin === value;
}, 'must be origins such as https://app.example.com, separated by commas');

export const network = z
  .string()
  .refine(isNetwork, 'must be addresses or CIDRs such as 10.0.0.7 or fd00::/8, separated by commas');

/** The longest prompt, in bytes of UTF-8 without NUL. */
export function fitsPrompt(prompt: string): boolean {
  return Buffer.byteLength(prompt) <= SYSTEM_PROMPT_BYTES_MAX && !prompt.includes('\0') && prompt.isWellFormed();
}
