"""Runs a peer's own tests in a separate process, with a plugin of tests/support/peers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

SUPPORT = Path(__file__).with_name("peers")


@dataclass(frozen=True)
class Suite:
    """Counts of a run of tests; `failed` has the tests' names."""

    passed: int
    failed: tuple[str, ...]
    skipped: int
    ours: int
    output: str


def run_suite(plugin: str, arguments: list[str], scratch: Path, cwd: Path) -> Suite:
    """pytest with `plugin` and `arguments`, ignoring our own configuration; `ours` is the plugin's count of calls."""
    log = scratch / "suite.xml"
    options = ["-c", os.devnull, "--rootdir", str(cwd), "-p", plugin, "-p", "no:cacheprovider", f"--junit-xml={log}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SUPPORT), str(cwd)])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", *options, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    output = done.stdout + done.stderr
    assert log.is_file(), output[-3000:]
    cases = list(ElementTree.parse(log).iter("testcase"))
    failed = tuple(c.get("name", "") for c in cases if c.find("failure") is not None or c.find("error") is not None)
    skipped = sum(c.find("skipped") is not None for c in cases)
    counted = re.search(r"(\d+) (?:ours|calls were ours)", output)
    return Suite(len(cases) - len(failed) - skipped, failed, skipped, int(counted[1]) if counted else 0, output)
