// Holds sockets open against a server, so that it can be looked at with them.

import { decodeServerMessage, encodeClientFrame } from '../../../protocol/codec.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../../protocol/frames.ts';
import type { ChatId } from '../../../protocol/ids.ts';
import { must } from '../../../protocol/assert.ts';
import { serve } from '../support/child.ts';
import { RawSocket } from '../support/raw-socket.ts';

export type HolderPlan = {
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  /** Null: a bare server, which answers whatever it is told with as much. */
  readonly session: { readonly credential: string; readonly chats: readonly ChatId[] } | null;
};

const sockets: RawSocket[] = [];
let fault: Error | null = null;

serve({ connect });

/** Resolves when every socket is live and has its chat. */
async function connect(plan: HolderPlan): Promise<void> {
  for (let i = 0; i < plan.sockets; i++) {
    const answered = Promise.withResolvers<void>();
    const socket = new RawSocket(
      { port: plan.port, path: plan.path, protocol: plan.session === null ? '' : SUBPROTOCOL },
      (bytes, begin, end) => {
        if (plan.session === null || isAttached(bytes.subarray(begin, end))) answered.resolve();
      },
      (what) => {
        fault ??= new Error(what);
        answered.reject(fault);
      },
    );
    sockets.push(socket);
    await socket.opened;
    if (plan.session === null) socket.send(HELLO);
    else {
      const { credential, chats } = plan.session;
      socket.send(encodeClientFrame({ op: 'hello', version: PROTOCOL_VERSION, credential, client: 'bench' }));
      const chat = must(chats[i % chats.length], 'there is a chat');
      socket.send(encodeClientFrame({ op: 'attach', chat, cursor: null }));
    }
    await answered.promise;
  }
  if (fault !== null) throw fault;
}

const HELLO = new Uint8Array(256);

function isAttached(message: Uint8Array): boolean {
  return decodeServerMessage(message).some((frame) => frame.op === 'attached' && frame.outcome === 'snapshot');
}
