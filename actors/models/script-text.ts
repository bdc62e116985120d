// What the scripted model says: pure functions of the prompt, so that a test can compare a whole stream byte for byte.

import { unreachable } from '../../protocol/assert.ts';
import { type Script, parseScript, scriptHelp } from './script-directives.ts';
import { hashText, pick, seeded } from './seeded.ts';

export type ScriptedReply = {
  readonly script: Script;
  readonly reasoning: readonly string[];
  readonly text: readonly string[];
};

/** The whole text that the scripted model streams as its answer to a last user message. */
export function scriptedText(prompt: string): string {
  return scriptedReply(prompt).text.join('');
}

/** Its reasoning before that; empty unless the prompt asks for some. */
export function scriptedReasoning(prompt: string): string {
  return scriptedReply(prompt).reasoning.join('');
}

/** The reply as the deltas in which it is streamed. None of them is empty or ends inside a code point. */
export function scriptedReply(prompt: string): ScriptedReply {
  const parsed = parseScript(prompt);
  if (parsed.outcome !== 'script') {
    const text = parsed.outcome === 'fault' ? `${parsed.fault}\n\n${scriptHelp()}` : scriptHelp();
    return { script: mustParse(''), reasoning: [], text: splitWords(text) };
  }
  const { script } = parsed;
  const fraction = seeded(script.seed ?? hashText(prompt));
  const text = textDeltas(script, prompt, fraction);
  const words = drawWords(script.reasoning, script.unicode, fraction);
  return {
    script,
    reasoning: script.size === null ? words : splitSize(words.join(''), script.size),
    text: script.size === null ? text : splitSize(text.join(''), script.size),
  };
}

function mustParse(prompt: string): Script {
  const parsed = parseScript(prompt);
  if (parsed.outcome !== 'script') throw new Error('an empty prompt holds no directive');
  return parsed.script;
}

function textDeltas(script: Script, prompt: string, fraction: () => number): readonly string[] {
  const { body } = script;
  switch (body.kind) {
    case 'answer':
      return splitWords(answer(prompt, script, fraction));
    case 'deltas':
      return body.word === null
        ? drawWords(body.count, script.unicode, fraction)
        : Array.from({ length: body.count }, () => `${body.word} `);
    case 'words':
      return prose(body.count, script.unicode, fraction);
    case 'exact':
      return splitWords(body.text);
    default:
      return unreachable(body);
  }
}

// ------------------------------------------------------------------------------------------------------ words

const WORDS = (
  'river stone lamp quiet garden early window paper bridge number letter open under market winter signal ' +
  'carry measure simple table answer corner green second music travel silver morning ladder ocean'
).split(' ') as [string, ...string[]];

/** Two-, three- and four-byte characters, joined emoji, a flag, combining marks, right to left, and plain ASCII between. */
const UNICODE_WORDS: readonly [string, ...string[]] = [
  'plain',
  'café',
  'cafe\u0301',
  'Größe',
  'q\u0307\u0323',
  '漢字',
  'かな',
  '한국어',
  'مرحبا',
  'שלום',
  '😀',
  '👩‍👩‍👧',
  '👍🏽',
  '🇨🇭',
  '𝒳𝒴',
  '𠮷野家',
  '→',
];

function drawWords(count: number, unicode: boolean, fraction: () => number): readonly string[] {
  const words = unicode ? UNICODE_WORDS : WORDS;
  return Array.from({ length: count }, () => `${pick(words as [string, ...string[]], fraction)} `);
}

/** Paragraphs of sentences under headings: `count` words, a delta each, marks and blank lines attached to the words. */
function prose(count: number, unicode: boolean, fraction: () => number): readonly string[] {
  const words = drawWords(count, unicode, fraction);
  return words.map((word, i) => {
    const heading = i % 120 === 0 ? `${i === 0 ? '' : '\n\n'}## Part ${i / 120 + 1}\n\n` : '';
    const end = (i + 1) % 40 === 0 && (i + 1) % 120 !== 0 ? '.\n\n' : (i + 1) % 10 === 0 ? '. ' : ' ';
    return `${heading}${word.trimEnd()}${end}`;
  });
}

// ------------------------------------------------------------------------------------------------------ answer

const OPENINGS: readonly [string, ...string[]] = [
  'Good question.',
  'Let me think this through with you.',
  'Happy to help with that.',
  'Here is how I would look at it.',
];
const CLOSINGS: readonly [string, ...string[]] = [
  'Tell me more and I will go on from here.',
  'Is that close to what you had in mind?',
  'Say the word and I will go deeper.',
];
const MIDDLES: readonly [string, ...string[]] = [
  '### In short\n\n- begin with the *smallest* thing that works\n- look at what it does\n- then change **one** thing at a time\n',
  '1. Write down what you expect.\n2. Try it on a small example.\n3. Compare the two, and keep the difference.\n',
  'A small example:\n\n```ts\nconst words = text.split(/\\s+/);\nconsole.log(`${words.length} words`);\n```\n',
  'It depends on the *scale*: what is simple for ten is often wrong for ten thousand, and **measuring** beats guessing.\n',
];

function answer(prompt: string, script: Script, fraction: () => number): string {
  const said = echo(prompt);
  const about = said === '' ? 'You did not say anything yet.' : `You said: “${said}”.`;
  const marks = script.unicode ? `\n${drawWords(8, true, fraction).join('').trimEnd()}\n` : '';
  return (
    `${pick(OPENINGS, fraction)} ${about}\n\n${pick(MIDDLES, fraction)}${marks}\n` +
    `I am the scripted model: I only play back lines like these. ${pick(CLOSINGS, fraction)}\n`
  );
}

/** The beginning of what the user said, on one line and without directives. */
function echo(prompt: string): string {
  const line = prompt
    .replaceAll(/(?:^|\s)\/script(?![^\s])[^\n]*/gu, ' ')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  const points = Array.from(line.toWellFormed());
  return points.length <= 80 ? points.join('') : `${points.slice(0, 79).join('')}…`;
}

// ------------------------------------------------------------------------------------------------------ deltas

/** Each word with the white space behind it. */
function splitWords(text: string): readonly string[] {
  return text.match(/^\s+|\S+\s*/gu) ?? [];
}

function splitSize(text: string, size: number): readonly string[] {
  const points = Array.from(text);
  const deltas: string[] = [];
  for (let i = 0; i < points.length; i += size) deltas.push(points.slice(i, i + size).join(''));
  return deltas;
}
