"""docs/equivalence.md from what the peers' tests recorded: `make equivalence`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.support.output import say

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "build" / "equivalence.json"
PAGE = ROOT / "docs" / "equivalence.md"

HEAD = """# Equivalence

What of gpu_infer answers to which function of its peers, how closely, and where the two part on purpose. Written by
`make equivalence` from what `make test-peers` measured; not by hand.

Compared with {versions}.

| peer | ours | held | worst seen | cases |
|---|---|---|---|---|
"""

MIDDLE = """
## Where we differ on purpose

"""

TAIL = """
## Grids

The default mode of the scanning window, `clara`, has no living peer: it places windows as the Clara operator did, and
is held against the text of its rule. It pads at the end of an axis that is shorter than the window, where MONAI and
nnU-Net pad both sides, and overlaps windows by at most 16 voxels. To compare labels with a MONAI pipeline, choose mode
`monai` and expect the differences that resampling brings: sizes and sample places (above, Spacing).
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.equivalence", description=__doc__)
    parser.parse_args()
    if not RECORD.is_file():
        parser.exit(1, f"no {RECORD.relative_to(ROOT)}: run make test-peers first\n")
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    say(f"wrote {PAGE.relative_to(ROOT)}")


def page(record: dict[str, Any]) -> str:
    """The page's text; peers in alphabetical order."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    entries = sorted(record["entries"].items())
    rows = [
        f"| {_code(peer)} | {e['ours']} | {e['tolerance']} | {_number(e['worst'])} | {e['cases']} |"
        for peer, e in entries
    ]
    differing = [f"- **{peer}**: {e['differs']}" for peer, e in entries if e.get("differs")]
    return HEAD.format(versions=versions) + "\n".join(rows) + "\n" + MIDDLE + "\n".join(differing) + "\n" + TAIL


def _code(peer: str) -> str:
    name, colon, rest = peer.partition(": ")
    return f"`{name}`{colon}{rest}" if " and " not in name else f"{peer}"


def _number(worst: float | None) -> str:
    if worst is None:
        return ""
    return "0" if worst == 0 else f"{worst:.1e}"


if __name__ == "__main__":
    main()
