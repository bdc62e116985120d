"""The conformance client: `main.py list` names the scenarios, `main.py vectors` checks the vectors, `main.py NAME` runs one.

A scenario needs a server at PARLEY_URL whose credentials are signed with PARLEY_JWT_SECRET.
"""

from __future__ import annotations

import json
import sys

import asking
import following
import listing
import tooling
import vectors

MODULES = (following, asking, listing, tooling)
SCENARIOS = {scenario.__name__: scenario for module in MODULES for scenario in module.SCENARIOS}


def main(name: str) -> int:
    if name == "list":
        print(json.dumps([{"name": name, "title": scenario.__doc__} for name, scenario in SCENARIOS.items()]))
        return 0
    if name == "vectors":
        faults = list(vectors.faults())
        print("\n".join(faults) or "every vector holds")
        return 1 if faults else 0
    SCENARIOS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
