// What the commands of a session need of it.
import type { Busy, Chat, ChatHandle, ChatId, CommandId, ParleyClient, Sent } from '../client/index.ts';
import type { Action } from './action.ts';
import type { Questions } from './questions.ts';
import { isWhole } from './render.ts';
import type { Tone } from './wording.ts';

export type CommandHost = {
  readonly client: ParleyClient;
  readonly handle: ChatHandle;
  /** The ids of the last list, for `/open 2`. */
  listed: readonly ChatId[];
  print(actions: readonly Action[]): void;
  say(tone: Tone, text: string): void;
  /** `busy`: what happens while a turn runs; `queue` when absent. */
  send(text: string, busy?: Busy): Promise<void>;
  /** Does what sends or replaces a message under an id that is known as typed here, and follows it. */
  ask(command: (id: CommandId) => Promise<Sent>): Promise<void>;
  /** The model's own, to the person here. */
  readonly questions: Questions;
  /** Shows another chat; it is attached and its state is loaded. */
  follow(handle: ChatHandle): void;
  /** A new chat, with the tools of this terminal. */
  create(title: string | null): Promise<Chat>;
  quit(): void;
};

/** Goes over to the chat, once it is there whole. */
export async function open(session: CommandHost, id: ChatId): Promise<void> {
  if (id === session.handle.id) return session.follow(session.handle);
  const handle: ChatHandle = session.client.chat(id);
  handle.attach();
  try {
    await handle.until(({ chat, messages }) => chat !== null && messages.every(isWhole));
  } catch (error) {
    handle.detach();
    throw error;
  }
  session.follow(handle);
}
