// The baseline of the sessions' memory: as many sockets on bare uWebSockets.js, each of which has said something and was
// answered.

import { listenBare } from '../support/bare-uws.ts';
import { serve } from '../support/child.ts';
import { memory } from '../support/resident.ts';

serve({
  listen: (port: number) =>
    listenBare(port, {
      opened: () => undefined,
      message: (socket, bytes) => {
        socket.send(bytes, true, false);
      },
      closed: () => undefined,
    }),
  memory,
});
