"""What a client shows of the list of its chats: pages, and the feed behind them (SPEC.md, 8.19 to 8.23)."""

from __future__ import annotations

from frames import Frame, summary
from reducer import Gap


class FeedState:
    def __init__(self) -> None:
        self.cursor: int | None = None
        self.chats: dict[str, Frame] = {}

    def page(self, result: Frame) -> None:
        """8.20: the cursor is that of the first page, and a page only adds what is not there."""
        if self.cursor is None:
            self.cursor = result["feed"]
        for chat in map(summary, result["chats"]):
            self.chats.setdefault(chat["id"], chat)

    def apply(self, frame: Frame) -> None:
        """8.22, 8.23."""
        last = self.cursor or 0
        if frame["from"] is None:
            self.chats = {}
        elif frame["from"] > last:
            raise Gap(f"a feed behind {frame['from']}, at {last}")
        elif frame["cursor"] <= last:
            return
        self.chats.update((chat["id"], chat) for chat in frame["chats"])
        self.cursor = frame["cursor"]
