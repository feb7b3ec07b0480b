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

This page lists functions of gpu_infer and of other packages that compute the same values, and how closely they agree.
`make test-peers` compares them, and `make equivalence` writes this page from the results; do not edit it by hand.

*Tolerance* is the absolute difference that the test accepts, *largest difference* the largest one that it measured,
and *cases* the number of comparisons.

Compared with {versions}.

| function | gpu_infer | tolerance | largest difference | cases |
|---|---|---|---|---|
"""

MIDDLE = """
## Intended differences

"""

TAIL = """
## Grids

No other package has the default window mode, `clara`. It places windows as the Clara operator did, and is tested
against the description of that rule. It pads at the end of an axis that is shorter than the window, while MONAI and
nnU-Net pad both sides. Its windows overlap by at most 16 voxels, except the last ones, which end with the volume. To
compare labels with a MONAI pipeline, choose mode `monai`, and expect the differences of resampling: sizes and
positions of samples (above, Spacing).
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
