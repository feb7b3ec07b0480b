"""Runs the commands of Markdown pages: the fenced blocks that begin with ```sh test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh test\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def marked_blocks(page: Path) -> list[str]:
    """The text of every marked block of `page`, in order."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_blocks(page: Path, folder: Path, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the marked blocks of `page` in one shell, which ends at the first command that fails.

    The shell runs in `folder`, in which links lead to the checkout's own folders, so that nothing is written into the
    checkout. `gpu-infer` is that of this environment.
    """
    for name in ("config", "examples", "models"):
        (folder / name).symlink_to(ROOT / name)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    environ["PYTHONUTF8"] = "1"  # texts are compared, whatever the locale is
    script = "set -euo pipefail\n" + "\n".join(marked_blocks(page))
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=timeout_s,
    )


def python_example(page: Path, heading: str) -> str:
    """The first block of Python below a heading of the second level."""
    section = page.read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    return section.split("```python\n")[1].split("```")[0]
