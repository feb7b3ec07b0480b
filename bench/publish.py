"""Copy measured results to bench/results, and the README's tables with them: `make bench-publish BENCH=cubic`.

Nothing else writes the committed figures, so that a run on a busy machine does not change them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import readme
from bench.support.chart import machine_name
from bench.support.output import PUBLISHED, add_results, say

ALL = "all"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.publish", description=__doc__)
    parser.add_argument("names", nargs="+", help=f"benches whose results are in the folder; {ALL}: every one there")
    add_results(parser)
    arguments = parser.parse_args()
    try:
        names = publish(arguments.names, arguments.results)
    except (OSError, ValueError) as error:
        sys.exit(f"bench.publish: {error}")
    if set(names) & readme.SHOWN:
        readme.write()


def publish(names: Sequence[str], source: Path, target: Path = PUBLISHED) -> list[str]:
    """Copy the results; the names that were copied.

    Raises:
        ValueError: a result is missing, incomplete, or no result; then nothing is copied.
    """
    if ALL in names:
        names = sorted(path.stem for path in source.glob("*.json"))
        if not names:
            raise ValueError(f"{source}: no results; run a bench first, or give its folder with --results")
    results = {name: read(source / f"{name}.json") for name in names}
    target.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        for suffix in (".json", ".png"):
            if (path := source / f"{name}{suffix}").is_file():
                shutil.copyfile(path, target / path.name)
        say(f"{name}: {machine_name(result['machine'])}, load {result['machine']['load_1min']}")
    return list(results)


def read(path: Path) -> dict[str, Any]:
    """A result of a bench that ran to its end."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run python -m bench.{path.stem} first") from None
    except ValueError:
        raise ValueError(f"{path} is no JSON: run python -m bench.{path.stem} again") from None
    if not isinstance(result, dict) or result.get("unfinished") or not {"machine", "table"} <= result.keys():
        raise ValueError(f"{path} is not the result of a finished run: run python -m bench.{path.stem} again")
    return result


if __name__ == "__main__":
    main()
