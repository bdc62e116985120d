// A WebSocket for clients that notes the bytes of every reply to a command, below everything that the client does with
// them: whether two replies are the same is a question of bytes.

import { decodeClientMessage } from '../../protocol/codec.ts';
import { OPS } from '../../protocol/frames.ts';
import type { CommandId } from '../../protocol/ids.ts';
import { scan, SERVER_SCAN_LIMITS } from '../../protocol/scanner.ts';
import { WireReader } from '../../protocol/wire-reader.ts';
import type { WebSocketConstructor } from '../../protocol/client/index.ts';

/** `body` in hexadecimal, which shows where two differ. */
export type RawReply = { readonly ok: boolean; readonly body: string };

export class ReplyRecorder {
  /** The newest reply to each command. */
  readonly replies = new Map<CommandId, RawReply>();
  /** How often each command was sent. */
  readonly sent = new Map<CommandId, number>();
  /** Request numbers are a client's own: one recorder serves one client. */
  readonly #requests = new Map<number, CommandId>();

  /** For `ClientOptions.webSocket`. */
  get webSocket(): WebSocketConstructor {
    const onSent = (bytes: Uint8Array): void => this.#onSent(bytes);
    const onReceived = (bytes: Uint8Array): void => this.#onReceived(bytes);
    return class extends WebSocket {
      constructor(url: string, protocol: string) {
        super(url, protocol);
        this.addEventListener('message', ({ data }) => {
          if (data instanceof ArrayBuffer) onReceived(new Uint8Array(data));
        });
      }

      override send(bytes: Uint8Array<ArrayBuffer>): void {
        onSent(bytes);
        super.send(bytes);
      }
    };
  }

  #onSent(bytes: Uint8Array): void {
    for (const frame of decodeClientMessage(bytes).frames) {
      if (frame.op !== 'command') continue;
      this.#requests.set(frame.request, frame.id);
      this.sent.set(frame.id, (this.sent.get(frame.id) ?? 0) + 1);
    }
  }

  #onReceived(bytes: Uint8Array): void {
    let start = 0;
    for (const end of scan(bytes, SERVER_SCAN_LIMITS).ends) {
      this.#onFrame(bytes.subarray(start, end));
      start = end;
    }
  }

  /** A reply is `[34, request, ok, body]`. */
  #onFrame(bytes: Uint8Array): void {
    const reader = new WireReader(bytes);
    if (reader.arrayHeader() !== 4 || reader.value() !== OPS.reply) return;
    const command = this.#requests.get(Number(reader.value()));
    const ok = reader.value() === true;
    if (command === undefined) return;
    this.replies.set(command, { ok, body: Buffer.from(bytes.subarray(reader.offset)).toString('hex') });
  }
}
