// A turn watched through connections that break: what the client shows, what it applied, and what that cost.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { scriptedText } from '../../actors/models/script-text.ts';
import { Clients } from '../support/clients.ts';
import { CutProxy } from '../support/cut-proxy.ts';
import { NodeProcess } from '../support/node-process.ts';
import { answerText, sharedState, Witness } from '../support/witness.ts';

const CUTS = 50;
/** Every delta an event of its own, so that there are 2,000 of them to lose. */
const UNMERGED = { PARLEY_MERGE_WINDOW_MS: '0' };

describe.each([
  // Planned whenever an attach was answered, so that there is an outcome for every cut.
  { place: 'in the stream', env: {}, paceMs: 8, withinBytes: 700, resumedMin: CUTS - 5 },
  // Planned when the one before is done: many connections are cut before the attach was answered.
  { place: 'anywhere', env: UNMERGED, paceMs: 4, withinBytes: 2_400, resumedMin: 25 },
])('a turn of 2,000 deltas with 50 cuts $place', ({ place, env, paceMs, withinBytes, resumedMin }) => {
  const prompt = `/script deltas=2000 pace=${paceMs}ms unicode=1`;
  const clients = new Clients();
  let node: NodeProcess;
  let whole: CutProxy;
  let cutting: CutProxy;

  beforeAll(async () => {
    node = await NodeProcess.start({ env });
    whole = await CutProxy.start({ port: node.port });
    cutting = await CutProxy.start({ port: node.port, seed: 42 });
  });

  afterAll(async () => {
    clients.closeAll();
    await whole.stop();
    await cutting.stop();
    await node.stop();
  });

  test('[P2][P4] the text is byte-equal, nothing is applied twice, and what comes again is little', async () => {
    const { token } = node;
    const calm = await clients.connect(whole.url, token);
    const chat = await calm.createChat({ title: 'cuts' });
    const expected = scriptedText(prompt);
    const watched = [calm, await clients.connect(cutting.url, token)].map((client) => {
      const handle = client.chat(chat.id);
      const witness = new Witness(client, handle, expected);
      handle.attach();
      return witness;
    });
    const [uncut, cut] = watched as [Witness, Witness];
    await Promise.all(watched.map(({ handle }) => handle.until(({ position }) => position !== null)));
    const before = { uncut: whole.bytesToClient, cut: cutting.bytesToClient };
    planCuts(cut, cutting, { place, withinBytes, chars: expected.length });

    const sent = await calm.send(chat.id, { text: prompt });
    const ended = watched.map(({ handle }) => handle.until(({ lastTurn }) => lastTurn?.turn === sent.turn));
    const states = await Promise.all(ended);

    const bytes = { uncut: whole.bytesToClient - before.uncut, cut: cutting.bytesToClient - before.cut };
    const { outcomes, applied, duplicates } = cut;
    const figures = { cuts: place, bytes, ratio: bytes.cut / bytes.uncut, outcomes, duplicates };
    console.info(JSON.stringify({ ...figures, applied, appliedUncut: uncut.applied }));
    expect(cut.faults).toEqual([]);
    expect(uncut.faults).toEqual([]);
    for (const state of states) {
      expect(state.lastTurn?.outcome).toBe('completed');
      expect(Buffer.from(answerText(state)).equals(Buffer.from(expected))).toBe(true);
    }
    expect(sharedState(cut.handle.state)).toEqual(sharedState(uncut.handle.state));
    expect([cutting.cuts, cutting.cutPlanned]).toEqual([CUTS, false]);
    expect(cut.outcomes.resumed).toBeGreaterThanOrEqual(resumedMin);
    // A resume is the missing events and nothing else, so the client never has to drop any.
    expect([cut.duplicates, uncut.duplicates]).toEqual([0, 0]);
    expect(bytes.cut).toBeLessThanOrEqual(1.15 * bytes.uncut + 300 * CUTS);
  });

  test('[P2][P4] a connection that freezes and then breaks: what lay in it is sent again, nobody else waits', async () => {
    const text = '/script deltas=500 pace=4ms unicode=1';
    const frozen = await CutProxy.start({ port: node.port, seed: 7 });
    onTestFinished(() => frozen.stop());
    const calm = await clients.connect(node.url, node.token);
    const { id } = await calm.createChat();
    const [steady, stuck] = [calm, await clients.connect(frozen.url, node.token)].map((client) => {
      const witness = new Witness(client, client.chat(id), scriptedText(text));
      witness.handle.attach();
      return witness;
    }) as [Witness, Witness];
    await Promise.all([steady, stuck].map(({ handle }) => handle.until(({ position }) => position !== null)));
    await calm.send(id, { text });
    await stuck.handle.until((state) => answerText(state).length > 500);
    frozen.pause();
    const { shown } = stuck;
    await steady.handle.until((state) => answerText(state).length > 1_500);
    expect(stuck.shown).toBe(shown);
    frozen.resume();
    frozen.cut();
    await Promise.all([steady, stuck].map(({ handle }) => handle.until(({ lastTurn }) => lastTurn !== null)));
    expect(sharedState(stuck.handle.state)).toEqual(sharedState(steady.handle.state));
    expect([...steady.faults, ...stuck.faults, stuck.duplicates]).toEqual([0]);
    expect(stuck.outcomes).toEqual({ resumed: 1, snapshot: 1, gone: 0 });
  });
});

function planCuts(
  watched: Witness,
  proxy: CutProxy,
  { place, withinBytes, chars }: { readonly place: string; readonly withinBytes: number; readonly chars: number },
): void {
  const plan = (): void => {
    if (proxy.cuts >= CUTS) return;
    // On a slow machine each return costs more of the stream: those that are left come closer together then.
    const behind = place !== 'anywhere' && proxy.cuts / CUTS < watched.shown.length / chars;
    proxy.cutWithin(behind ? withinBytes / 8 : withinBytes);
  };
  plan();
  if (place === 'anywhere') proxy.onCut = plan;
  else watched.onAttached = plan;
}
