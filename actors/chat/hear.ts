// What another chat has told this one, done once: in one commit with taking its row away.

import type { Told } from '../inbox-ports.ts';
import type { ChatActor } from './actor.ts';

/** A task of the actor's mailbox. */
export async function hear(actor: ChatActor, told: Told): Promise<void> {
  const { turn } = actor.state;
  if (turn?.id === told.turn && turn.stopping === null) {
    await actor.stop({ heard: told }, null);
    return;
  }
  const draft = actor.openDraft();
  draft.heard.push(told);
  await actor.commit(draft, null);
}
