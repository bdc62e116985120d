// From options to a connected client, or one sentence that says what is wrong.
import {
  ClientError,
  CommandError,
  ParleyClient,
  type Chat,
  type ChatHandle,
  type NewChat,
  type ToolDeclaration,
} from '../client/index.ts';
import { findNode } from './local-node.ts';
import type { Options, Target } from './options.ts';
import { sanitizeLine } from './sanitize.ts';
import { describeError } from './wording.ts';

/** A call of a tool asks for an approval, and nobody is there to give it. */
export const EXIT_UNANSWERED = 3;
export const EXIT_TIMEOUT = 124;
/** 128 + SIGINT, as shells do. */
export const EXIT_INTERRUPTED = 130;

/** Ends the program: the sentence goes to standard error, the code is that of the process. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Resolves with a client that is live; throws a `Failure` when the first attempt does not get through. */
export async function connect(target: Target): Promise<ParleyClient> {
  const found = findNode(target);
  if (found.kind === 'missing') throw new Failure(found.why);
  const { url } = found.address;
  const client = new ParleyClient({ url, credential: () => freshToken(target), clientName: 'parley-chat' });
  await new Promise<void>((resolve, reject) => {
    let answered = false;
    const stop = client.onStatus((status) => {
      if (status.status === 'connecting') return;
      // A node that refused for now (an expired token, too many connections) is tried once more, to hear what it says.
      if (status.status === 'waiting' && !answered && !status.reason.startsWith('The connection was lost')) {
        answered = true;
        return;
      }
      stop();
      if (status.status === 'live') return resolve();
      client.close();
      const reason = 'reason' in status ? sanitizeLine(status.reason) : '';
      const isRefused = status.status === 'closed' || answered;
      reject(new Failure(isRefused ? refused(url, reason) : unanswered(url, reason)));
    });
    client.connect();
  });
  return client;
}

/** The chat that was asked for, attached and with its state loaded; a new one with the `tools`. */
export async function openChat(
  client: ParleyClient,
  options: Pick<Options, 'chat' | 'model' | 'title'>,
  tools: readonly ToolDeclaration[],
): Promise<ChatHandle> {
  const handle = client.chat(await chatId(client, options, tools));
  handle.attach();
  await handle.until(({ chat }) => chat !== null);
  return handle;
}

/** What a person can do with any error that the client library gives. */
export function explain(error: unknown): string {
  if (error instanceof CommandError) return describeError(error.body);
  if (error instanceof ClientError || error instanceof Failure) return sanitizeLine(error.message);
  throw error;
}

async function chatId(
  client: ParleyClient,
  { chat: choice, model, title }: Pick<Options, 'chat' | 'model' | 'title'>,
  tools: readonly ToolDeclaration[],
): Promise<Chat['id']> {
  switch (choice.kind) {
    case 'id':
      return choice.id;
    case 'last': {
      const [chat] = (await client.list({ limit: 1, archived: false })).chats;
      if (chat === undefined) throw new Failure('You have no chat yet. Leave out --last to open one.');
      return chat.id;
    }
    case 'new':
      return (await client.createChat(newChat({ model, title, tools }))).id;
  }
}

/** What is null or empty is left out. */
export function newChat({
  model = null,
  title,
  tools,
}: {
  readonly model?: string | null;
  readonly title: string | null;
  readonly tools: readonly ToolDeclaration[];
}): NewChat {
  return {
    ...(model === null ? {} : { model }),
    ...(title === null ? {} : { title }),
    ...(tools.length === 0 ? {} : { tools }),
  };
}

/** Read anew for each connection: a node that was started again may have written another one. */
function freshToken(target: Target): Promise<string> {
  const found = findNode(target);
  return found.kind === 'found' ? Promise.resolve(found.address.token) : Promise.reject(new Error(found.why));
}

function unanswered(url: string, reason: string): string {
  const local = /^wss?:\/\/(?:127\.|localhost|\[::1\])/.test(url);
  return `No Parley node answers at ${url}. ${local ? 'Start one with: npm start' : `Check the address. (${reason})`}`;
}

function refused(url: string, reason: string): string {
  return `${reason} (${url})`;
}
