// The one error that this folder throws for bytes or values that are not of the protocol.

/** Bytes or values that are not of this protocol; the message names the field or the byte, never its content. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: 'bad_frame' | 'bad_text' | 'too_large';

  constructor(code: 'bad_frame' | 'bad_text' | 'too_large', detail: string) {
    super(detail);
    this.code = code;
  }
}
