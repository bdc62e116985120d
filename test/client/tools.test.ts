// Tools that run in a client, on a simulated clock: each call is run once and answered once.

import { describe, expect, test } from 'vitest';
import { errorBody } from '../../protocol/errors.ts';
import type { Action } from '../../protocol/content.ts';
import type { ChatHandle, ClientTool, CommandError } from '../../protocol/client/index.ts';
import type { ClientFrame } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { utf8Length } from '../../protocol/text.ts';
import { FakeServer, type FakeSocket } from './fake-server.ts';
import { at, CHAT, event, head, resumed, snapshot, TURN } from './wire.ts';

const SCHEMA = { type: 'object', properties: { n: { type: 'number' } } };

describe('[P7] tools of a client', () => {
  test('[P7] a call that waits is run with its arguments, and answered once', async () => {
    const ran: unknown[] = [];
    const { socket, server } = await serving(
      tool(async (args, { call, chat, deadlineMs }) => {
        ran.push(args, { call, chat, deadlineMs });
        return 'four';
      }),
    );
    socket.push(waiting(at(1, 1), action('c1', '{"n": 2}')));
    await server.clock.advance(0);
    expect(ran).toEqual([{ n: 2 }, { call: 'c1', chat: CHAT, deadlineMs: 9_000 }]);
    expect(results(socket)).toMatchObject([{ call: 'c1', output: 'four', is_error: false }]);
    // The same waits again, as after a snapshot: the answer is on its way.
    socket.push(waiting(at(1, 2), action('c1', '{"n": 2}')));
    await server.clock.advance(0);
    expect([ran.length, results(socket)]).toEqual([2, []]);
    server.client.close();
  });

  test('[P7] the answer survives a lost connection: the same command again, and no second run', async () => {
    let runs = 0;
    const { socket, server } = await serving(tool(() => `run ${++runs}`));
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    const [sent] = commands(socket);
    socket.cut();
    await server.clock.advance(1_000);
    const second = server.welcome();
    second.push(snapshot(at(1, 1), { head: head({ live: live(action('c1')) }) }));
    await server.clock.advance(0);
    expect(commands(second).map(({ id, args }) => ({ id, args }))).toEqual([{ id: sent?.id, args: sent?.args }]);
    expect(runs).toBe(1);
    server.client.close();
  });

  test('[P7] a tool that runs over a reconnect answers over the new connection', async () => {
    const done = Promise.withResolvers<string>();
    const { socket, server } = await serving(tool(() => done.promise));
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    socket.cut();
    await server.clock.advance(1_000);
    const second = server.welcome();
    second.push(resumed(at(1, 1)));
    done.resolve('late, but there');
    await server.clock.advance(0);
    expect(results(second)).toMatchObject([{ call: 'c1', output: 'late, but there' }]);
    server.client.close();
  });

  test('[P7] of two devices the first answers; the other is told by its signal, and is silent', async () => {
    const signals: AbortSignal[] = [];
    const done = Promise.withResolvers<string>();
    const { socket, server } = await serving(
      tool((_args, { signal }) => {
        signals.push(signal);
        return done.promise;
      }),
    );
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    socket.push(waiting(at(1, 2)));
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    done.resolve('second');
    await server.clock.advance(0);
    expect(results(socket)).toEqual([]);
    server.client.close();
  });

  test('[P7] an answer that came second is no fault', async () => {
    const faults: unknown[] = [];
    const { socket, server } = await serving(
      tool(() => 'x'),
      faults,
    );
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    const [sent] = commands(socket);
    socket.push({ op: 'reply', request: sent?.request ?? 0, result: null, error: errorBody('not_waiting') });
    await server.clock.advance(0);
    expect(faults).toEqual([]);
    server.client.close();
  });

  test('[P7] an answer that the server refuses is told', async () => {
    const faults: unknown[] = [];
    const { socket, server } = await serving(
      tool(() => 'x'),
      faults,
    );
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    const [sent] = commands(socket);
    socket.push({ op: 'reply', request: sent?.request ?? 0, result: null, error: errorBody('forbidden') });
    await server.clock.advance(0);
    expect(faults.map((fault) => (fault as CommandError).code)).toEqual(['forbidden']);
    server.client.close();
  });

  test('[P7] what a tool throws, and arguments that are no object, are errors for the model to read', async () => {
    const { socket, server } = await serving(
      tool(() => {
        throw new Error('no battery here');
      }),
    );
    socket.push(waiting(at(1, 1), action('c1'), action('c2', '[1]'), action('c3', '{"n":')));
    await server.clock.advance(0);
    const answers = results(socket);
    expect(answers).toMatchObject([
      { call: 'c1', output: 'no battery here', is_error: true },
      { call: 'c2', output: 'The arguments are not a JSON object.', is_error: true },
      { call: 'c3', is_error: true },
    ]);
    server.client.close();
  });

  test('[P7] an output that no frame can carry is mended and cut', async () => {
    const { socket, server } = await serving(tool(() => `\0\ud800${'é'.repeat(LIMITS.scannedStringBytes)}`));
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    const [answer] = results(socket);
    const output = String(answer?.['output']);
    expect(output.slice(0, 3)).toBe('\ufffd\ufffdé');
    expect(utf8Length(output)).toBe(LIMITS.scannedStringBytes);
    server.client.close();
  });

  test('[P7] tools of others and approvals are left alone; the same id in another step is another call', async () => {
    const ran: string[] = [];
    const { socket, server } = await serving(
      tool((_args, { call }) => {
        ran.push(call);
        return 'x';
      }),
    );
    const other = { ...action('c1'), name: 'other' };
    const approval = { ...action('c2'), type: 'approval' as const };
    socket.push(waiting(at(1, 1), other, approval, action('call_0')));
    socket.push(
      event(at(1, 2), { kind: 'step', type: 'started', turn: TURN, step: 2, attempt: 1 }),
      waiting(at(1, 3), action('call_0')),
    );
    await server.clock.advance(0);
    expect(ran).toEqual(['call_0', 'call_0']);
    server.client.close();
  });

  test('[P7] after the end of serving nothing is begun or answered', async () => {
    const done = Promise.withResolvers<string>();
    const { socket, server, stop } = await serving(tool(() => done.promise));
    socket.push(waiting(at(1, 1), action('c1')));
    await server.clock.advance(0);
    stop();
    done.resolve('too late');
    socket.push(waiting(at(1, 2), action('c1'), action('c2')));
    await server.clock.advance(0);
    expect(results(socket)).toEqual([]);
    server.client.close();
  });
});

describe('[client] answers to approvals', () => {
  test('[client] they name the call and its hash', async () => {
    const { socket, server, chat } = await serving(tool(() => 'x'));
    const asked = { ...action('c1'), type: 'approval' as const };
    socket.push(waiting(at(1, 1), asked));
    const [waits] = chat.actions;
    expect(waits).toEqual(asked);
    const answers = [chat.approve(asked), chat.approve(asked, { always: true }), chat.deny(asked)];
    await server.clock.advance(0);
    const sent = commands(socket);
    expect(sent.map(({ args: { chat: _chat, ...args } }) => args)).toEqual([
      { call: 'c1', hash: 'h', allow: true, always: false },
      { call: 'c1', hash: 'h', allow: true, always: true },
      { call: 'c1', hash: 'h', allow: false, always: false },
    ]);
    for (const { request } of sent) {
      socket.push({ op: 'reply', request, result: { outcome: 'settled', status: 'denied' }, error: null });
    }
    await expect(Promise.all(answers)).resolves.toEqual(sent.map(() => ({ outcome: 'settled', status: 'denied' })));
    server.client.close();
  });

  test('[client] tools are declared with the chat, their schema as JSON text', async () => {
    const server = new FakeServer();
    const socket = await server.live();
    const creating = server.client.createChat({ tools: [tool(() => 'x')] });
    await server.clock.advance(0);
    expect(commands(socket)[0]?.args['tools']).toEqual([
      { name: 'double', description: 'Doubles n.', schema: JSON.stringify(SCHEMA) },
    ]);
    server.client.close();
    await expect(creating).rejects.toThrow();
  });
});

function tool(run: ClientTool['run']): ClientTool {
  return { name: 'double', description: 'Doubles n.', schema: SCHEMA, run };
}

async function serving(
  one: ClientTool,
  faults: unknown[] = [],
): Promise<{ server: FakeServer; socket: FakeSocket; chat: ChatHandle; stop: () => void }> {
  const server = new FakeServer();
  const socket = await server.live();
  const chat = server.client.chat(CHAT);
  chat.attach();
  const stop = chat.serve([one], (fault) => faults.push(fault));
  socket.push(snapshot(at(1, 0), { head: head({ live: live() }) }));
  return { server, socket, chat, stop };
}

function action(call: string, args = '{}'): Action {
  return { type: 'result', call, name: 'double', args, deadline_at: 9_000, hash: 'h' };
}

function waiting(position: ReturnType<typeof at>, ...actions: readonly Action[]): ReturnType<typeof event> {
  return event(position, { kind: 'action', actions });
}

function live(...actions: readonly Action[]): NonNullable<ReturnType<typeof head>['live']> {
  return {
    turn: TURN,
    model: 'm',
    step: 1,
    attempt: 1,
    blocks: [],
    retry: null,
    usage: null,
    calls: [],
    actions,
    compaction: null,
  };
}

/** The commands that were not looked at yet. */
function commands(socket: FakeSocket): (ClientFrame & { readonly op: 'command' })[] {
  const taken = [];
  while (socket.untaken().includes('command')) taken.push(socket.take('command'));
  return taken;
}

function results(socket: FakeSocket): Readonly<Record<string, unknown>>[] {
  return commands(socket)
    .filter(({ name }) => name === 'tool.result')
    .map(({ args }) => args);
}
