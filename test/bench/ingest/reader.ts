// Reads streams of a provider and says what that took of the processor: either as the node does, through the adapter into
// the log of a chat, or with nothing but the SDK's own loop.

import { Session } from 'node:inspector/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Tally } from '../../../protocol/measures.ts';
import type { Chat } from '../../../protocol/content.ts';
import type { AttemptId, ChatId, Epoch, TurnId } from '../../../protocol/ids.ts';
import { anthropicModel } from '../../../actors/models/anthropic.ts';
import { openAiModel } from '../../../actors/models/openai-responses.ts';
import { EVICTION_LIMITS } from '../../../actors/chat/counted-limits.ts';
import { StepWriter } from '../../../actors/chat/step-writer.ts';
import { RingBudget } from '../../../actors/chat/ring-budget.ts';
import { StreamLog } from '../../../actors/chat/stream-log.ts';
import type { ModelClient, ModelRequest } from '../../../actors/ports.ts';
import { SystemClock, systemRandom } from '../../../gateway/system-ports.ts';
import { must } from '../../../protocol/assert.ts';
import { CHAT_DEFAULTS } from '../../../actors/chat/settings.ts';
import { serve } from '../support/child.ts';
import type { CpuProfile } from '../support/profile.ts';

export type Reading = {
  readonly provider: 'anthropic' | 'openai';
  /** `adapter`: as the node reads; `sdk`: the bare loop. */
  readonly how: 'adapter' | 'sdk';
  readonly url: string;
  /** One after the other on each of `lanes`, which run side by side. */
  readonly streams: number;
  readonly lanes: number;
  readonly mergeWindowMs: number;
};

export type Read = {
  /** Events that the loop of the SDK gave; null: the adapter does not tell. */
  readonly events: number | null;
  /** Bytes of text that came, and of frames that were encoded of it. */
  readonly textBytes: number;
  readonly frameBytes: number;
  readonly frames: number;
  readonly cpuMs: number;
  readonly wallMs: number;
};

const KEY = 'none';
const MODEL = 'bench';
const CHAT = '018f0000-0000-7000-8000-000000000001' as ChatId;
const PROMPT = 'say something long';
/** How often a node takes what was streamed into its journal. */
const PACK_MS = CHAT_DEFAULTS.journalEveryMs;
const clock = new SystemClock();
const inspector = new Session();

serve({
  read,
  startProfile: async () => {
    inspector.connect();
    await inspector.post('Profiler.enable');
    await inspector.post('Profiler.start');
  },
  stopProfile: async (): Promise<CpuProfile> => {
    const { profile } = await inspector.post('Profiler.stop');
    inspector.disconnect();
    return profile;
  },
});

type Totals = { events: number; textBytes: number; frameBytes: number; frames: number };

async function read(reading: Reading): Promise<Read> {
  const totals: Totals = { events: 0, textBytes: 0, frameBytes: 0, frames: 0 };
  const one = reading.how === 'adapter' ? adapterLoop(reading, totals) : sdkLoop(reading, totals);
  const before = { cpu: process.cpuUsage(), atMs: performance.now() };
  await Promise.all(
    Array.from({ length: reading.lanes }, async () => {
      for (let i = 0; i < reading.streams; i++) await one();
    }),
  );
  const { user, system } = process.cpuUsage(before.cpu);
  const wallMs = performance.now() - before.atMs;
  const events = reading.how === 'sdk' ? totals.events : null;
  return { ...totals, events, cpuMs: (user + system) / 1_000, wallMs };
}

// ------------------------------------------------------------------------------------------------------- the node

function adapterLoop(reading: Reading, totals: Totals): () => Promise<void> {
  const client = clientOf(reading);
  return async () => {
    const log = new StreamLog({
      epoch: 1 as Epoch,
      sealed: null,
      chat: { id: CHAT } as Chat,
      queue: [],
      turn: null,
      calls: [],
      rings: new RingBudget(new Tally(EVICTION_LIMITS), Number.MAX_SAFE_INTEGER),
    });
    const turn = '018f0000-0000-7000-8000-000000000003' as TurnId;
    log.append({ kind: 'turn', type: 'started', turn, model: MODEL });
    log.append({ kind: 'step', type: 'started', turn, step: 1, attempt: 1 });
    const { mergeWindowMs } = reading;
    const fault = (error: unknown): never => {
      throw error instanceof Error ? error : new Error('the attempt failed');
    };
    const nothing = (): void => undefined;
    const handlers = {
      onProviderRef: nothing,
      onFirstBlock: nothing,
      onDue: null,
      onOverflow: nothing,
      onFault: fault,
    };
    const writer = new StepWriter({
      log,
      clock,
      mergeWindowMs,
      turn,
      step: 1,
      attemptNumber: 1,
      resume: null,
      ...handlers,
    });
    const packs = setInterval(() => writer.takePack(), PACK_MS);
    const result = await client.stream(request(), writer, new AbortController().signal);
    clearInterval(packs);
    if (result.outcome !== 'completed') fault(new Error(`the attempt was ${result.outcome}`));
    writer.flush();
    totals.textBytes += must(log.view.turn(), 'it runs').blocks.reduce((sum, { bytes }) => sum + bytes, 0);
    totals.frames += log.top.seq;
    totals.frameBytes += log.ring.bytes;
  };
}

function clientOf({ provider, url }: Reading): ModelClient {
  const log = { error: ignore, warn: ignore, info: ignore, child: () => log };
  return provider === 'anthropic'
    ? anthropicModel({ apiKey: KEY, baseUrl: url, clock })
    : openAiModel({ apiKey: KEY, baseUrl: `${url}/v1`, clock, random: systemRandom, log });
}

function request(): ModelRequest {
  return {
    model: MODEL,
    system: [],
    items: [{ role: 'user', parts: [{ type: 'text', text: PROMPT }], provider: null }],
    tools: [],
    toolChoice: 'auto',
    maxOutputTokens: 200_000,
    chat: CHAT,
    attempt: '018f0000-0000-7000-8000-000000000002' as AttemptId,
    attemptNumber: 1,
    trace: null,
    background: false,
    resume: null,
  };
}

// ------------------------------------------------------------------------------------------------------- the SDKs

/** As their guides write it: the text of the deltas joined, nothing else. */
function sdkLoop({ provider, url }: Reading, totals: Totals): () => Promise<void> {
  const options = { apiKey: KEY, maxRetries: 0 } as const;
  if (provider === 'anthropic') {
    const sdk = new Anthropic({ ...options, baseURL: url });
    const messages = [{ role: 'user' as const, content: PROMPT }];
    return async () => {
      let text = '';
      const body = { model: MODEL, max_tokens: 200_000, messages, stream: true } as const;
      for await (const event of await sdk.messages.create(body)) {
        totals.events += 1;
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text;
      }
      totals.textBytes += Buffer.byteLength(text);
    };
  }
  const sdk = new OpenAI({ ...options, baseURL: `${url}/v1` });
  return async () => {
    let text = '';
    const more = { store: false, stream_options: { include_obfuscation: false } } as const;
    for await (const event of await sdk.responses.create({ model: MODEL, input: PROMPT, stream: true, ...more })) {
      totals.events += 1;
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    totals.textBytes += Buffer.byteLength(text);
  };
}

function ignore(): void {}
