"""One case of a fuzzer: it must end in time, within its memory, and with nothing but an error of ours.

A fuzzer is a module `fuzz_<kind>.py` with `main(seconds, seed)`, which calls `run_cases`. A case that breaks a rule
ends the process with the line that `run.py` reports; the input of the case is in the folder that was printed before.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gpu_infer.errors import GpuInferError

LONGEST_S = 5.0
"""Of a case, after which it counts as a hang; the process then prints its stacks and ends."""

SLACK_BYTES = 128 << 20
"""Memory of a case in addition to twice its files: libraries that are loaded late, and the allocator's own."""

Case = Callable[[random.Random, Path], Callable[[], object]]
"""Writes one input into the folder and returns what is done with it; only that is timed and measured."""


def run_cases(make: Case, seconds: float, seed: int, folder: Path) -> int:
    """Cases of the seeds `seed`, `seed` + 1, … until `seconds` are over; how many there were.

    Raises AssertionError with the seed of the first case that breaks a rule.
    """
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end or count == 0:
        number = seed + count
        _empty(folder)
        act = make(random.Random(number), folder)
        (folder.parent / f"{folder.name}.seed").write_text(f"{number}\n")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        before = _reset_peak()
        faulthandler.dump_traceback_later(LONGEST_S, exit=True, file=sys.stderr)
        try:
            _judge(act, number)
        finally:
            faulthandler.cancel_dump_traceback_later()
        grown = _status("VmHWM") - before
        assert grown <= 2 * size + SLACK_BYTES, f"seed {number}: {grown >> 20} MiB for files of {size} bytes"
        count += 1
    return count


def _judge(act: Callable[[], object], number: int) -> None:
    try:
        act()
    except GpuInferError as error:
        assert error.exit_code in (2, 3, 4, 5), f"seed {number}: exit code {error.exit_code} of {error!r}"
        assert str(error).strip(), f"seed {number}: {error!r} says nothing"
    except Exception as error:
        raise AssertionError(f"seed {number}: {type(error).__name__}: {error}") from error


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _reset_peak() -> int:
    """Resident bytes now; resets the peak to them if the kernel allows it."""
    with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("w", encoding="utf-8") as stream:
        stream.write("5")
        return _status("VmRSS")
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def change_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flipped, repeated, removed or inserted bytes, or a cut: one to four changes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at = rng.randrange(min(len(data), rng.choice((64, 512, 4096, len(data)))))
        match rng.randrange(6):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xc0\x7f"))
            case 2:
                del data[at : at + rng.choice((1, 2, 8, 100))]
            case 3:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 40))))
            case 4:
                data[at:at] = data[at : at + 64] * rng.choice((1, 20))
            case _:
                del data[at:]
    return bytes(data)


def workplace(kind: str) -> Path:
    """The folder of a fuzzer's current case."""
    return Path(os.environ.get("FUZZ_FOLDER", "build/fuzz")) / kind
