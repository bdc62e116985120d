// Runs the calls of all chats of a node: strict arguments, a slot, a timeout, and an answer whatever the tool does.

import { cutOutput } from '../tool-output.ts';
import type { Clock, Log, Random } from '../ports.ts';
import type { ServerTool, ToolInvocation, ToolOutcome, ToolRunner, ToolSink } from '../tool-ports.ts';
import { Slots, type SlotBounds } from './slots.ts';
import type { Tool } from './tool.ts';

export type RunnerOptions = {
  readonly tools: readonly Tool[];
  readonly bounds: SlotBounds;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

const INTERRUPTED: ToolOutcome = {
  status: 'interrupted',
  text: 'The call was interrupted while it ran: it may have had effects.',
};

export class LocalToolRunner implements ToolRunner {
  readonly tools: readonly ServerTool[];
  readonly #slots: Slots;
  readonly #options: RunnerOptions;
  readonly #byName: ReadonlyMap<string, Tool>;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#byName = new Map(options.tools.map((tool) => [tool.name, tool]));
    this.tools = options.tools.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#slots = new Slots(options.bounds);
  }

  measure(): { readonly running: number; readonly waiting: number } {
    return { running: this.#slots.running, waiting: this.#slots.waiting };
  }

  fault(name: string, args: string): string | null {
    const parsed = this.#byName.get(name)?.parse(args) ?? { fault: 'There is no such tool.' };
    return 'fault' in parsed ? parsed.fault : null;
  }

  async run(invocation: ToolInvocation, sink: ToolSink, signal: AbortSignal): Promise<ToolOutcome> {
    const tool = this.#byName.get(invocation.name);
    if (tool === undefined) return { status: 'error', text: 'The server has no tool of this name any more.' };
    const parsed = tool.parse(invocation.args);
    if ('fault' in parsed) return { status: 'error', text: parsed.fault };
    const release = await this.#slots.take(invocation.chat, tool.exclusive, signal);
    if (release === null) return { status: 'interrupted', text: 'The call was interrupted before it began.' };
    return this.#bounded(tool, parsed.value, { invocation, sink, signal, release });
  }

  /** The tool's answer, or the end of its time, or the abort: whatever comes first. A late answer is not looked at. */
  #bounded(
    tool: Tool,
    value: unknown,
    run: {
      readonly invocation: ToolInvocation;
      readonly sink: ToolSink;
      readonly signal: AbortSignal;
      readonly release: () => void;
    },
  ): Promise<ToolOutcome> {
    const { clock, random } = this.#options;
    const controller = new AbortController();
    return new Promise((resolve) => {
      const end = (outcome: ToolOutcome): void => {
        cancel();
        run.signal.removeEventListener('abort', onAbort);
        controller.abort();
        resolve(outcome);
      };
      const onAbort = (): void => end(INTERRUPTED);
      const cancel = clock.after(tool.timeoutMs, () =>
        end({ status: 'timeout', text: `The tool did not answer within ${tool.timeoutMs} ms.` }),
      );
      run.signal.addEventListener('abort', onAbort, { once: true });
      const { signal } = controller;
      const sink = { progress: (text: string) => void (signal.aborted || run.sink.progress(text)) };
      void this.#answer(tool, value, { clock, random, invocation: run.invocation, sink, signal }).then((outcome) => {
        // Not before: a tool that runs on after its time still takes its place.
        run.release();
        end(outcome);
      });
    });
  }

  async #answer(tool: Tool, value: unknown, context: Parameters<Tool['run']>[1]): Promise<ToolOutcome> {
    try {
      const answer = await tool.run(value, context);
      if ('fault' in answer) return { status: 'error', text: cutOutput(answer.fault) };
      return { status: 'ok', text: cutOutput(answer.text) };
    } catch (error) {
      // A bug of the tool's: the chat goes on, and its model hears that it was no fault of its own.
      this.#options.log.error('tool crashed', { tool: tool.name, error });
      return { status: 'error', text: 'The tool failed. That is a fault of the server, not of the arguments.' };
    }
  }
}
