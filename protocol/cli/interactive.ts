// The interactive session: starts it, and ends when the person leaves or the connection ends for good.
import { connect, explain, Failure, openChat } from './connect.ts';
import { declaredTools } from './local-tools.ts';
import { QuietDisplay, type Handlers } from './display.ts';
import type { Options } from './options.ts';
import { Screen } from './screen.ts';
import { Session } from './session.ts';
import type { Style } from './style.ts';
import type { Line } from './wording.ts';

export type Terminal = {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly style: Style;
  /** One line for standard error. */
  readonly say: (line: Line) => void;
};

/** Resolves when the person has left; throws a `Failure` when it cannot begin or go on. */
export async function runInteractive(options: Options, terminal: Terminal): Promise<void> {
  const client = await connect(options.target);
  let session: Session | null = null;
  try {
    const handle = await openChat(client, options, options.tools ? declaredTools({ isPersonThere: true }) : []);
    session = new Session({
      client,
      handle,
      // Keys that come while a chat is opened wait in the input.
      display: (handlers: Handlers) =>
        options.json
          ? new QuietDisplay(terminal.input, terminal.say, handlers)
          : new Screen(terminal, terminal.style, handlers),
      writeJson: options.json ? (line) => void terminal.output.write(line) : null,
      // A pipe says one thing after the other; at a terminal one may speak while the model does.
      oneByOne: !terminal.input.isTTY || options.json,
      offersTools: options.tools,
    });
    await session.ended;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(explain(error));
  } finally {
    session?.close();
    client.close();
  }
}
