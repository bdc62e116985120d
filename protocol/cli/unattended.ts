// What a run without a person does about calls of tools: it answers approvals as it was told, or says that nobody can.
import type { Action as Waiting, ChatHandle, TurnId } from '../client/index.ts';
import { explain, EXIT_UNANSWERED, Failure } from './connect.ts';
import type { Options } from './options.ts';
import { callsOfStep } from './render-tools.ts';
import { describeElsewhere, labelOf, shownArguments } from './tool-wording.ts';
import type { Line } from './wording.ts';

/** Of the arguments in a line. */
const SHOWN_CHARS = 200;

/** Looks after the calls of the turn; the signal is aborted when an approval is asked in vain. */
export function watchCalls(
  handle: ChatHandle,
  turn: TurnId,
  { approve, served }: { readonly approve: Options['approve']; readonly served: ReadonlySet<string> },
  say: (line: Line) => void,
): AbortSignal {
  const vain = new AbortController();
  /** What was answered or said of the calls of the step that runs. */
  const seen = { step: 0, calls: new Set<string>() };
  const look = (): void => {
    const { turn: live, messages } = handle.state;
    if (live === null || live.turn !== turn) return;
    if (live.step !== seen.step) Object.assign(seen, { step: live.step, calls: new Set() });
    const calls = callsOfStep(messages, live);
    for (const waiting of live.actions) {
      if (seen.calls.has(waiting.call)) continue;
      seen.calls.add(waiting.call);
      const label = labelOf(calls, waiting.call);
      if (waiting.type === 'result') {
        if (!served.has(waiting.name)) say(describeElsewhere(waiting, label));
      } else if (approve === null) {
        vain.abort(new Failure(unanswered(handle, waiting, label), EXIT_UNANSWERED));
      } else {
        say({ tone: 'dim', text: `${approve === 'all' ? 'approved' : 'denied'}: ${called(waiting, label)}` });
        answer(handle, waiting, approve).catch((error: unknown) => say({ tone: 'error', text: explain(error) }));
      }
    }
  };
  handle.subscribe(look);
  look();
  return vain.signal;
}

async function answer(handle: ChatHandle, waiting: Waiting, approve: 'all' | 'none'): Promise<void> {
  await (approve === 'all' ? handle.approve(waiting) : handle.deny(waiting));
}

function unanswered({ id }: ChatHandle, waiting: Waiting, label: string): string {
  const how = `answer it with npm run chat -- --chat ${id}, or give --approve all or --approve none`;
  return `A call asks for an approval that nobody here can give: ${called(waiting, label)}. It waits: ${how}.`;
}

function called({ args }: Waiting, label: string): string {
  const text = shownArguments(args);
  return `${label} ${text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text}`;
}
