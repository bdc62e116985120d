// Colours of the terminal: a few, by their meaning, and none where NO_COLOR (no-color.org) or the output forbids them.
import type { Tone } from './wording.ts';

export type Style = {
  /** `text` in the tone; every line by itself, so that lines can be printed apart. */
  tone(tone: Tone, text: string): string;
  /** What the model thought. */
  reasoning(text: string): string;
};

type Codes = readonly [on: number, off: number];

const DIM: Codes = [2, 22];
const TONES: Readonly<Record<Tone, Codes | null>> = {
  plain: null,
  dim: DIM,
  note: [33, 39],
  error: [31, 39],
  user: [36, 39],
};

export const PLAIN: Style = { tone: (_tone, text) => text, reasoning: (text) => text };

export const COLOURED: Style = {
  tone: (tone, text) => paint(TONES[tone], text),
  reasoning: (text) => paint(DIM, text),
};

export function styleFor(environment: Readonly<Record<string, string | undefined>>, isTerminal: boolean): Style {
  const forbidden = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  return isTerminal && !forbidden ? COLOURED : PLAIN;
}

function paint(codes: Codes | null, text: string): string {
  if (codes === null) return text;
  const [on, off] = codes;
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : `\u001b[${on}m${line}\u001b[${off}m`))
    .join('\n');
}
