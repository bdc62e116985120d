// Clients for tests: the real one, that comes back at once instead of after seconds.

import { ParleyClient } from '../../protocol/client/index.ts';
import type { CredentialSource, WebSocketConstructor } from '../../protocol/client/index.ts';
import { SYSTEM_RANDOM } from '../../protocol/client/environment.ts';

/** A hundredth of every back-off: 2 ms, 5 ms … 100 ms. */
const HASTY = { bytes: (length: number) => SYSTEM_RANDOM.bytes(length), fraction: () => 0.01 };

export class Clients {
  readonly #all: ParleyClient[] = [];

  /** Made, not connected. */
  make(url: string, credential: CredentialSource, webSocket?: WebSocketConstructor): ParleyClient {
    const options = { url, credential, clientName: 'test', random: HASTY };
    const client = new ParleyClient(webSocket === undefined ? options : { ...options, webSocket });
    this.#all.push(client);
    return client;
  }

  async connect(url: string, credential: CredentialSource): Promise<ParleyClient> {
    const client = this.make(url, credential);
    await client.ready();
    return client;
  }

  closeAll(): void {
    for (const client of this.#all) client.close();
    this.#all.length = 0;
  }
}
