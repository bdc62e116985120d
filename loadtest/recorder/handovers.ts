// How long a client whose connection stayed saw nothing of a running turn while its chat went to another node.

import type { ServerFrame } from '../../protocol/frames.ts';
import type { Position } from '../../protocol/position.ts';
import type { Device } from './device.ts';

type Last = { readonly position: Position; readonly atMs: number; readonly losses: number };

export class Handovers {
  /** One figure a client and change of epoch, in milliseconds. */
  readonly pausesMs: number[] = [];
  /** How often a client saw a turn go on in the next epoch of its chat, which was given up in order. */
  inOrder = 0;
  readonly #last = new Map<Device, Last>();

  /** Before the client handles the frame. */
  onFrame(device: Device, frame: ServerFrame): void {
    const position = positionOf(frame);
    if (position === null) return;
    const atMs = performance.now();
    const last = this.#last.get(device);
    const stayed = last !== undefined && last.losses === device.losses;
    if (stayed && position.epoch > last.position.epoch && device.handle.state.turn !== null) {
      this.pausesMs.push(atMs - last.atMs);
      if (frame.op === 'attached' && frame.outcome === 'resumed') this.inOrder += 1;
    }
    this.#last.set(device, { position, atMs, losses: device.losses });
  }
}

function positionOf(frame: ServerFrame): Position | null {
  if (frame.op === 'event') return frame.position;
  return frame.op === 'attached' && frame.outcome !== 'gone' ? frame.position : null;
}
