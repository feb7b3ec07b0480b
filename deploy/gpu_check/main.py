"""Command line of the GPU check, and the steps of earlier calls in the same work folder."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from deploy.gpu_check import host as gpu_host
from deploy.gpu_check.check import ROOT, Check
from deploy.gpu_check.picture import draw
from deploy.gpu_check.results import results_file
from deploy.gpu_check.runner import Outcome, say, write_json
from deploy.gpu_check.steps import PARTS, STEPS, choose

FULL_LIMIT_S = 3600.0
"""Limit of a bench in its full length, with --full."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="gpu_check.sh", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="folder, or a file that ends in .json")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--steps", help=f"of {', '.join(STEPS)}; default all")
    parser.add_argument("--part", type=int, choices=sorted(PARTS))
    parser.add_argument("--seconds", type=float, help="of all steps together")
    parser.add_argument("--patience", type=float, default=1.0, help="every step's limit times this")
    arguments = parser.parse_args()
    try:
        choice = choose(arguments.steps, arguments.part)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, _end)
    results = results_file(arguments.results, arguments.part)
    results.parent.mkdir(parents=True, exist_ok=True)
    devices = gpu_host.count_devices()
    facts = {
        "rehearsal": arguments.rehearse,
        "part": arguments.part,
        "revision": json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["revision"],
        "devices": devices,
        **gpu_host.facts(),
    }
    passed = Passed(arguments.work / "passed.json", rehearse=arguments.rehearse, devices=devices)
    check = Check(
        choice,
        arguments.work,
        results,
        facts,
        rehearse=arguments.rehearse,
        devices=devices,
        full=arguments.full,
        patience=arguments.patience,
        earlier=passed.steps,
        seconds=arguments.seconds,
    )
    try:
        run_steps(check, FULL_LIMIT_S if arguments.full else None)
    finally:  # after a signal, too
        check.context.close()
        passed.add(check.steps)
        part = f", part {arguments.part}" if arguments.part else ""
        failed = ", ".join(check.failed())
        title = f"GPU check{part}, {facts['date']}: {f'FAILED: {failed}' if failed else 'nothing failed'}"
        if (reason := draw(check.steps, title, results.with_suffix(".png"))) is not None:
            say(reason)
    say(f"{check.summary()}; results in {results}")
    return 1 if check.failed() else 0


def run_steps(check: Check, full_limit_s: float | None = None) -> None:
    """Every chosen step, in the order of STEPS."""
    if check.on_device and "device" in check.earlier:
        check.hold_context()
    for name in STEPS:
        bench = name.removeprefix("bench.")
        if bench == name:
            check.step(name, check.bodies[name])
        else:
            check.step(name, partial(check.bench, bench), limit_s=full_limit_s)


class Passed:
    """Steps that passed in earlier calls with the same bundle, in a file of the work folder.

    A later call does not repeat those that its own steps need: their files are in the work folder, too.
    """

    def __init__(self, path: Path, *, rehearse: bool, devices: int, bundle: Path = ROOT) -> None:
        manifest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
        self._path = path
        self._key = {"manifest": manifest, "rehearsal": rehearse, "devices": devices, "python": sys.executable}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}
        self.steps: dict[str, Outcome] = content["steps"] if content.get("key") == self._key else {}

    def add(self, steps: dict[str, Outcome]) -> None:
        """Record the steps of this call. One that fails now counts no longer, even if it passed before."""
        for name, step in steps.items():
            self.steps.pop(name, None)
            if step["outcome"] == "passed":
                self.steps[name] = {key: value for key, value in step.items() if key != "earlier"}
        write_json(self._path, {"key": self._key, "steps": self.steps})


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit through every `finally`, which end the running command's group and write the results so far."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
