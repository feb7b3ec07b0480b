"""examples/configs: `validate` prints for every shape of configuration what the text file of the same name says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "examples" / "configs"
PROGRAM = Path(sys.executable).parent / "gpu-infer"
SHAPES = sorted(path for path in CONFIGS.glob("*.txt"))


def test_every_configuration_has_its_expected_output() -> None:
    used = {shlex.split(path.read_text().splitlines()[0])[3] for path in SHAPES}
    assert used == {str(path.relative_to(ROOT)) for path in CONFIGS.rglob("*.json")}


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_validate_prints_what_the_file_says(path: Path) -> None:
    first, expected = path.read_text().split("\n", 1)
    prompt, program, *arguments = shlex.split(first)
    assert (prompt, program) == ("$", "gpu-infer")
    done = subprocess.run(
        [str(PROGRAM), *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    log = [re.sub(r"^\S+ \S+ (INFO +)[\w.]+: ", "INFO ", line) for line in done.stderr.splitlines()]
    printed = "\n".join([*log, *done.stdout.splitlines(), ""])
    assert printed.replace(str(ROOT), "…") == expected
    assert done.returncode == (2 if "error:" in expected else 0)
