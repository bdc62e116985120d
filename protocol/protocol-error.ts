// The one error that this folder throws for bytes or values that are not of the protocol.

import type { FrameLimit } from './limits.ts';

/** Bytes or values that are not of this protocol; the message names the field or the byte, never its content. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: 'bad_frame' | 'bad_text' | 'too_large';

  /** The limit that they are over, when it is that. */
  readonly limit: FrameLimit | null;

  constructor(code: 'bad_frame' | 'bad_text' | 'too_large', detail: string, limit: FrameLimit | null = null) {
    super(detail);
    this.code = code;
    this.limit = limit;
  }
}
