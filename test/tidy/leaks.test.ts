import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { countHandles, leakedHandles } from '../support/leaks.ts';

describe('leaked handles', () => {
  test('[leaks] a server left open is named', async () => {
    const before = countHandles(process.getActiveResourcesInfo());
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    expect(leakedHandles(before, countHandles(process.getActiveResourcesInfo()))).toEqual(['TCPServerWrap ×1']);
    server.close();
  });

  test('[leaks] requests in flight are not leaks', () => {
    expect([...countHandles(['FSReqCallback', 'Immediate', 'TickObject'])]).toEqual([]);
  });
});
