"""The words and numbers of the protocol that a client branches on, read from SPEC.md: a copy would grow old."""

from __future__ import annotations

import re
from pathlib import Path

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"

ROLES = ("user", "assistant", "tool", "system")
STATUSES = ("waiting", "running", "requires_action", "stopping", "error")
OUTCOMES = ("completed", "stopped", "refused", "max_tokens", "step_limit", "budget", "error", "interrupted")


def _table(heading: str) -> dict[str, str]:
    """Name → the cell beside it, of the rows of a section that begin with a name in backticks."""
    spec = (PROTOCOL / "SPEC.md").read_text(encoding="utf-8")
    section = next(part for part in re.split(r"^## ", spec, flags=re.M) if part.startswith(heading))
    return dict(re.findall(r"^\| `(\w+)` +\| (\w+)", section, flags=re.M))


ERROR_RETRY = _table("9. Errors")
CLOSE_CODES = {name: int(code) for name, code in _table("10. Close codes").items()}
LIMITS = {name: int(figure) for name, figure in _table("11. Limits").items()}
