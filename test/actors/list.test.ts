// Pages of a list are bounded by bytes as well as by chats.
import { describe, expect, test } from 'vitest';
import { must } from '../../protocol/assert.ts';
import { encodeBody } from '../../protocol/codec.ts';
import type { Args } from '../../protocol/frames.ts';
import { uuidFromBytes, type ChatId, type OwnerId } from '../../protocol/ids.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Stage } from './stage.ts';

const ADA = { owner: 'ada' as OwnerId, role: 'member', groups: [] } as const;
const CHATS = 40;
/** As many labels as a chat may have, each as long as it may be. */
const LABELS = Object.fromEntries(
  Array.from({ length: LIMITS.labels }, (_, i) => [
    `${i}`.padEnd(LIMITS.labelKeyBytes, '.'),
    'x'.repeat(LIMITS.labelValueBytes),
  ]),
);

type Page = { readonly chats: readonly { readonly id: Uint8Array }[]; readonly next: unknown };

async function list(stage: Stage, args: Args): Promise<Page> {
  const answer = await stage.host.query(ADA, 'chats.list', args);
  return must(answer.ok ? (answer.result as Page) : null, 'the list is given');
}

describe('chats.list', () => {
  test('[P9] a page ends before its limit where it would pass 256 KiB; the next goes on behind it', async () => {
    const stage = new Stage();
    const made: ChatId[] = [];
    for (let i = 0; i < CHATS; i++) made.push(await stage.create(undefined, { labels: LABELS }));
    const pages: Page[] = [];
    for (let after: unknown = null; pages.length === 0 || after !== null;) {
      const page = await list(stage, { limit: LIMITS.pageChats, after });
      expect(encodeBody(page).length).toBeLessThanOrEqual(LIMITS.snapshotPieceBytes + 1_024);
      pages.push(page);
      after = page.next;
    }
    expect(pages.length).toBe(3);
    const shown = pages.flatMap(({ chats }) => chats.map(({ id }) => uuidFromBytes<ChatId>(id)));
    expect(new Set(shown)).toEqual(new Set(made));
    expect(shown).toHaveLength(CHATS);
  });

  test('[list] chats of ordinary size fill a page to its limit', async () => {
    const stage = new Stage();
    for (let i = 0; i < 5; i++) await stage.create();
    expect((await list(stage, { limit: 4 })).chats).toHaveLength(4);
    expect(await list(stage, { limit: 5 })).toMatchObject({ next: null });
  });
});
