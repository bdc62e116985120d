// What the commands of `slash-tools.ts` do.
import type { Action as Waiting } from '../client/index.ts';
import { unreachable } from '../assert.ts';
import type { CommandHost } from './command-host.ts';
import { Failure } from './connect.ts';
import { callsOfStep } from './render-tools.ts';
import type { ToolInput } from './slash-tools.ts';

export async function runTool(session: CommandHost, input: ToolInput): Promise<void> {
  const { handle } = session;
  switch (input.kind) {
    case 'steer':
      return session.send(input.text, 'steer');
    case 'approve': {
      const asked = approval(session, input.place);
      await handle.approve(asked, { always: input.always });
      return answered(session, asked);
    }
    case 'deny': {
      if (input.place === null && session.questions.leave()) return;
      const asked = approval(session, input.place);
      await handle.deny(asked);
      return answered(session, asked);
    }
    default:
      return unreachable(input);
  }
}

/** What the place means of the approvals that wait now. */
function approval({ handle }: CommandHost, place: number | null): Waiting {
  const approvals = handle.actions.filter(({ type }) => type === 'approval');
  const { turn, messages } = handle.state;
  const calls = turn === null ? [] : callsOfStep(messages, turn);
  const fitting = approvals.filter(({ call }) => place === null || calls[place - 1]?.call === call);
  const [asked] = fitting;
  if (asked === undefined) throw new Failure(place === null ? 'Nothing asks for it.' : `No call ${place} asks for it.`);
  if (fitting.length > 1) {
    const places = fitting.map(({ call }) => calls.findIndex((one) => one.call === call) + 1);
    throw new Failure(`Say which: ${places.join(' or ')}.`);
  }
  return asked;
}

/** The answer shows: until then the same could be asked of the person again. */
async function answered({ handle }: CommandHost, asked: Waiting): Promise<void> {
  const step = handle.state.turn?.step;
  await handle.until(({ turn }) => turn?.step !== step || !turn?.actions.some(({ call }) => call === asked.call));
}
