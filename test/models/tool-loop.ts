// A loop of tools as an actor keeps it: what an attempt came to goes into the ledger, then the results of its calls.

import type { AttemptResult, ModelRequest, PromptItem } from '../../actors/ports.ts';
import type { ToolSpec } from '../../actors/tool-ports.ts';
import type { ToolCallPart, ToolStatus } from '../../protocol/content.ts';
import { partOfBlock } from '../../protocol/parts.ts';
import type { Fixture } from './adapter-fixture.ts';
import { type RecordingSink, modelRequest, userItem } from './support.ts';

export function tool(name: string, schema = '{"type":"object","properties":{"city":{"type":"string"}}}'): ToolSpec {
  return { name, description: `does ${name}`, schema };
}

export const TOOLS: readonly ToolSpec[] = [tool('calculator'), tool('clock')];

/** What the ledger keeps of an attempt: the blocks that were shown, calls only of an answer that is whole and no refusal. */
export function answerItem(result: AttemptResult, sink: RecordingSink): PromptItem {
  const parts = sink.blocks.filter(({ text }) => text !== '').map(partOfBlock);
  const isWhole = result.outcome === 'completed' && result.stopReason !== 'refusal';
  return {
    role: 'assistant',
    parts: isWhole ? parts : parts.filter(({ type }) => type !== 'tool_call'),
    provider: result.provider,
  };
}

export function callsOf({ parts }: PromptItem): readonly ToolCallPart[] {
  return parts.filter((part) => part.type === 'tool_call');
}

/** The results of all calls of an answer, in their order. */
export function resultsItem(
  answer: PromptItem,
  textOf: (call: ToolCallPart, at: number) => string = ({ name, text }) => `${name} of ${text}`,
  status: ToolStatus = 'ok',
): PromptItem {
  const parts = callsOf(answer).map((call, at) => {
    return { type: 'tool_result', call: call.call, text: textOf(call, at), status } as const;
  });
  return { role: 'tool', parts, provider: null };
}

export type Step = { readonly result: AttemptResult; readonly sink: RecordingSink };

/** Runs a turn until the model asks for no more tools; gives its steps and the ledger behind them. */
export async function runTurn<Fake, Context>(
  { run }: Pick<Fixture<Fake, Context>, 'run'>,
  prompt: string,
  options: { readonly items?: readonly PromptItem[]; readonly request?: Partial<ModelRequest> } = {},
): Promise<{ readonly steps: readonly Step[]; readonly items: readonly PromptItem[] }> {
  const items: PromptItem[] = [...(options.items ?? []), userItem(prompt)];
  const steps: Step[] = [];
  for (;;) {
    const { result, sink } = await run(null, modelRequest([...items], { tools: TOOLS, ...options.request }));
    steps.push({ result, sink });
    const answer = answerItem(result, sink);
    items.push(answer);
    if (result.outcome !== 'completed' || result.stopReason !== 'tool_use') return { steps, items };
    items.push(resultsItem(answer));
  }
}
