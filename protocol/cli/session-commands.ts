// What each command does. An error of the node comes out as the client library's; the session shows it as one line.
import { type ChatId, type Message, type Part, parseUuid } from '../client/index.ts';
import { unreachable } from '../assert.ts';
import { LIMITS } from '../limits.ts';
import { Failure } from './connect.ts';
import { type Input, SLASH_HELP } from './slash.ts';
import { listChats, numbered } from './transcript.ts';
import { type CommandHost, open } from './command-host.ts';
import { runEdit } from './session-edits.ts';
import { runTool } from './session-tools.ts';
import { sanitizeLine } from './sanitize.ts';
import { withText } from '../parts.ts';

const LISTED = 25;

export async function runCommand(session: CommandHost, input: Input): Promise<void> {
  switch (input.kind) {
    case 'nothing':
      return;
    case 'message':
      return session.questions.answer(input.text) ? undefined : session.send(input.text);
    case 'new':
      return open(session, (await session.create(input.title)).id);
    case 'list':
      return list(session, input.archived);
    case 'open':
      return open(session, choose(session, input.which));
    case 'history':
      return history(session, input.count);
    case 'rename':
      return rename(session, input.title);
    case 'read':
      await session.handle.read();
      return;
    case 'archive':
      await session.client.archive(session.handle.id);
      return;
    case 'unarchive':
      await session.client.unarchive(session.handle.id);
      return;
    case 'stop':
      return stop(session);
    case 'edit':
    case 'fork':
    case 'retry':
    case 'clear':
    case 'model':
    case 'queue':
      return runEdit(session, input);
    case 'approve':
    case 'deny':
    case 'steer':
      return runTool(session, input);
    case 'compact':
      return compact(session);
    case 'help':
      return help(session);
    case 'quit':
      return session.quit();
    case 'wrong':
      session.say('error', input.why);
      return help(session);
    default:
      return unreachable(input);
  }
}

function help(session: CommandHost): void {
  for (const text of SLASH_HELP) session.say('dim', text);
}

async function rename(session: CommandHost, title: string): Promise<void> {
  const { client, handle } = session;
  const untitled = (handle.state.chat?.title ?? null) === null;
  const chat = await client.rename(handle.id, title.slice(0, LIMITS.titleChars));
  // A change of title is rendered wherever it comes from; a first title is not.
  if (untitled) session.say('dim', `title: ${sanitizeLine(chat.title ?? '')}`);
}

async function stop(session: CommandHost): Promise<void> {
  const stopped = await session.handle.stop();
  if (stopped === null || stopped.outcome === 'not_running') session.say('dim', 'nothing runs');
}

async function compact(session: CommandHost): Promise<void> {
  const { outcome } = await session.handle.compact();
  if (outcome === 'queued') session.say('dim', 'the chat is made smaller before the next step');
}

async function list(session: CommandHost, archived: boolean): Promise<void> {
  const { chats } = await session.client.list({ limit: LISTED, archived });
  session.listed = chats.map(({ id }) => id);
  session.print(listChats(chats, session.handle.id, Date.now()));
}

/** A number of the last list, an id, or the beginning of one that was listed. */
function choose({ listed }: CommandHost, which: string): ChatId {
  const number = /^\d{1,3}$/.test(which) ? Number(which) : 0;
  const id = number > 0 ? listed[number - 1] : (parseUuid<ChatId>(which) ?? undefined);
  if (id !== undefined) return id;
  const beginning = listed.filter((one) => one.startsWith(which.toLowerCase()));
  if (beginning.length === 1 && beginning[0] !== undefined) return beginning[0];
  if (listed.length === 0) throw new Failure('Say /list first, then /open and a number.');
  throw new Failure(beginning.length > 1 ? 'More than one chat begins so.' : `The list has no ${which}.`);
}

async function history(session: CommandHost, count: number): Promise<void> {
  const { handle, client } = session;
  const { messages, hasMore } = await client.messages(handle.id, { limit: count });
  if (hasMore) session.say('dim', `… the last ${messages.length}:`);
  session.print(numbered(await Promise.all(messages.map((message) => whole(session, message)))));
}

/** The message with the texts of its large parts. */
async function whole({ client, handle }: CommandHost, message: Message): Promise<Message> {
  const parts = await Promise.all(
    message.parts.map(async (part, index): Promise<Part> => {
      if ('text' in part) return part;
      return withText(part, await client.part(handle.id, message.number, index));
    }),
  );
  return { ...message, parts };
}
