"""Runs every fuzzer of this folder in a separate process.

`python tests/fuzz/run.py --seconds 60 [--seed 1] [kind …]`

The seconds are shared out. A process that dies, hangs or finds an error is reported with the seed and the folder of
its last case, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parents[1]), str(HERE.parent / "support")]
"""On which a fuzzer finds this folder's modules, the package and the maker of DICOM files."""

START = """
import sys
from importlib import import_module
sys.stdout.write(str(import_module(sys.argv[1]).main(float(sys.argv[2]), int(sys.argv[3]))))
"""
GRACE_S = 90.0
"""Seconds for a process to import its modules and to end."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def kinds() -> list[str]:
    """The fuzzers by name."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def run(kind: str, seconds: float, seed: int) -> bool:
    """Whether no case of the fuzzer broke a rule."""
    path = os.pathsep.join(PATHS)
    command = [sys.executable, "-c", START, f"fuzz_{kind}", str(seconds), str(seed)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=seconds + GRACE_S,
        )
        code, out, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as expired:
        code, out, errors = -1, "", str(expired)
    if code == 0:
        say(f"{kind}: {out.strip()} cases, seeds from {seed}")
        return True
    folder = Path(os.environ.get("FUZZ_FOLDER", "build/fuzz"))
    last = folder / f"{kind}.seed"
    number = last.read_text().strip() if last.is_file() else "none"
    reason = f"signal {-code}" if code < 0 else f"exit {code}"
    say(f"{kind}: {reason}, seed {number}, input in {folder / kind}")
    say("\n".join(errors.splitlines()[-25:]))
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("kinds", nargs="*", default=kinds())
    options = parser.parse_args()
    share = options.seconds / len(options.kinds)
    good = [run(kind, share, options.seed) for kind in options.kinds]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
