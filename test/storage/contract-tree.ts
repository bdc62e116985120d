// Contract: archiving trees.

import type { ArchiveResult } from '../../actors/ports.ts';
import { expect, test } from 'vitest';

import type { ChatId, OwnerId } from '../../protocol/ids.ts';
import {
  commandOf,
  createChat,
  createTaken,
  epochOf,
  intentOf,
  newId,
  newOwner,
  NOW_MS,
  takeChat,
  valueOf,
  type DatabaseHandle,
} from './fixture.ts';

export function treeContract(handle: () => DatabaseHandle): void {
  const setArchived = (
    owner: OwnerId,
    chat: ChatId,
    archived: boolean,
    { epoch = 1, command = commandOf(owner) } = {},
  ): Promise<ArchiveResult> =>
    handle().opened.store.archiveTree({ chat, epoch: epochOf(epoch), archived, atMs: NOW_MS + 77, command });
  const isArchived = async (owner: OwnerId, chat: ChatId): Promise<boolean | undefined> =>
    valueOf(await handle().opened.store.get({ owner, role: 'member', groups: [] }, chat))?.archived;

  /** root ─ middle ─ leaf, and root ─ other; all at epoch 1. */
  const makeTree = async (): Promise<{ owner: OwnerId; root: ChatId; middle: ChatId; leaf: ChatId; other: ChatId }> => {
    const { store } = handle().opened;
    const owner = newOwner();
    const { chat: root } = await createTaken(store, { owner });
    const { chat: middle } = await createTaken(store, { owner, parent: root });
    const { chat: leaf } = await createTaken(store, { owner, parent: middle });
    const { chat: other } = await createTaken(store, { owner, parent: root });
    return { owner, root, middle, leaf, other };
  };

  test('[tree] archiving takes the chat and all below it, each with a place of its own in the feed', async () => {
    const { raw } = handle();
    const { owner, root, middle, leaf, other } = await makeTree();
    const [before] = await raw`select feed_seq from owners where id = ${owner}`;
    const result = await setArchived(owner, root, true);
    expect(result.outcome).toBe('archived');
    if (result.outcome !== 'archived') return;
    expect(result.changed.toSorted()).toEqual([root, middle, leaf, other].toSorted());
    const seq = Number(before?.['feed_seq']);
    const fed = await raw<
      { id: ChatId; feed_seq: string; updated_at: Date }[]
    >`select id, feed_seq, updated_at from chats where owner = ${owner} order by feed_seq`;
    expect(fed.map((row) => Number(row.feed_seq))).toEqual([seq + 1, seq + 2, seq + 3, seq + 4]);
    expect(fed.filter((row) => row.updated_at.getTime() === NOW_MS + 77).map((row) => row.id)).toEqual([root]);
    expect(await raw`select feed_seq from owners where id = ${owner}`).toEqual([{ feed_seq: String(seq + 4) }]);
  });

  test('[tree] archiving in the middle leaves what is above and beside', async () => {
    const { owner, root, middle, leaf, other } = await makeTree();
    expect(await setArchived(owner, middle, true)).toMatchObject({ outcome: 'archived' });
    expect(await Promise.all([root, middle, leaf, other].map((chat) => isArchived(owner, chat)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test('[tree] unarchiving takes one chat, and is refused under an archived parent', async () => {
    const { owner, root, middle, leaf } = await makeTree();
    await setArchived(owner, root, true);
    expect(await setArchived(owner, middle, false)).toEqual({ outcome: 'parent_archived' });
    expect(await setArchived(owner, root, false)).toEqual({ outcome: 'archived', changed: [root], taken: [] });
    expect(await setArchived(owner, middle, false)).toEqual({ outcome: 'archived', changed: [middle], taken: [] });
    expect(await isArchived(owner, leaf)).toBe(true);
  });

  test('[tree] nothing is archived while one of it runs, waits for a client or is being stopped', async () => {
    const { store } = handle().opened;
    for (const status of ['running', 'requires_action', 'stopping'] as const) {
      const { owner, root, leaf } = await makeTree();
      await store.commit(intentOf(leaf, 1, { patch: { status } }));
      const command = commandOf(owner);
      expect(await setArchived(owner, root, true, { command })).toEqual({ outcome: 'running', chats: [leaf] });
      expect(await isArchived(owner, root)).toBe(false);
      expect(valueOf(await store.findCommand(owner, root, command.id))).toBeNull();
      await store.commit(intentOf(leaf, 1, { patch: { status: 'error' } }));
      expect(await setArchived(owner, root, true)).toMatchObject({ outcome: 'archived' });
    }
  });

  test('[P1] archiving is fenced by the epoch of the named chat', async () => {
    const { store } = handle().opened;
    const { owner, root, leaf } = await makeTree();
    await takeChat(store, root);
    expect(await setArchived(owner, root, true)).toEqual({ outcome: 'stale' });
    expect(await isArchived(owner, leaf)).toBe(false);
    expect(await setArchived(owner, newId<ChatId>(), true)).toEqual({ outcome: 'stale' });
    expect(await setArchived(owner, root, true, { epoch: 2 })).toMatchObject({ outcome: 'archived' });
  });

  test('[P3] the command is recorded in the same transaction, also when nothing changes', async () => {
    const { store } = handle().opened;
    const { owner, root } = await makeTree();
    const [first, second] = [commandOf(owner), commandOf(owner)];
    await setArchived(owner, root, true, { command: first });
    expect(await setArchived(owner, root, true, { command: second })).toEqual({
      outcome: 'archived',
      changed: [],
      taken: [],
    });
    for (const command of [first, second]) {
      expect(valueOf(await store.findCommand(owner, root, command.id))).toMatchObject({ id: command.id });
    }
  });

  test('[tree] no chat appears unarchived under one that is archived, however they race', async () => {
    const { store } = handle().opened;
    for (let round = 0; round < 8; round += 1) {
      const { owner, root, leaf } = await makeTree();
      const [archived, ...made] = await Promise.all([
        setArchived(owner, root, true),
        ...[root, leaf, root].map((parent) =>
          createChat(store, { owner, parent }).then(
            ({ chat }) => chat,
            () => null,
          ),
        ),
      ]);
      const children = made.filter((chat) => chat !== null);
      if (archived.outcome !== 'archived') {
        expect(archived).toMatchObject({ outcome: 'unavailable' });
        continue;
      }
      for (const chat of children) expect(await isArchived(owner, chat)).toBe(true);
      await expect(createChat(store, { owner, parent: leaf })).rejects.toThrow('parent_archived');
    }
  });

  test('[tree] a send that races with the archive is either before it or refused', async () => {
    const { store } = handle().opened;
    for (let round = 0; round < 8; round += 1) {
      const { owner, root, leaf } = await makeTree();
      const [archived, sent] = await Promise.all([
        setArchived(owner, root, true),
        store.commit(intentOf(leaf, 1, { requireUnarchived: true, patch: { status: 'running' } })),
      ]);
      const pair = `${archived.outcome}, ${sent.outcome}`;
      expect(['archived, archived', 'running, committed']).toContain(pair);
    }
  });
}
