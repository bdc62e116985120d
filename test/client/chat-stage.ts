// A client that follows one chat of a fake server, and what is done with it again and again.

import type { ChatHandle } from '../../protocol/client/chat-handle.ts';
import { FakeServer, type FakeSocket } from './fake-server.ts';
import { CHAT } from './wire.ts';

export type ChatStage = { readonly server: FakeServer; readonly socket: FakeSocket; readonly chat: ChatHandle };

/** It has asked for the chat. */
export async function attached(): Promise<ChatStage> {
  const server = new FakeServer();
  const socket = await server.live();
  const chat = server.client.chat(CHAT);
  chat.attach();
  return { server, socket, chat };
}

/** Cuts the connection and accepts the next one. */
export async function reconnect(server: FakeServer): Promise<FakeSocket> {
  server.socket.cut();
  await server.clock.advance(10_000);
  return server.welcome();
}

/** What the model has said in the first live block. */
export function text(chat: ChatHandle): string | undefined {
  return chat.state.turn?.blocks[0]?.text;
}
