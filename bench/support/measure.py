"""Timings of several sides in one run, and the peak memory of one side in a separate process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20


@dataclass(frozen=True)
class Timing:
    """Seconds of every repeat, in the order of measurement."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        return min(self.seconds)

    @property
    def high(self) -> float:
        return max(self.seconds)

    def data(self) -> dict[str, Any]:
        """For the JSON: median, spread and every repeat."""
        spread = {"median_s": self.median, "low_s": self.low, "high_s": self.high}
        return {name: round(value, 6) for name, value in spread.items()} | {
            "runs_s": [round(s, 6) for s in self.seconds]
        }


def timed(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(
    sides: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 1,
    renew: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time every side `repeats` times after `warmup` calls that do not count; `renew` is called before each call.

    The sides take turns, so that a machine that slows down for a while slows all of them.
    """
    for _ in range(warmup):
        for call in sides.values():
            renew()
            call()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            renew()
            seconds[name].append(timed(call))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


@dataclass(frozen=True)
class Peak:
    """Resident bytes of a process: at most, and before its work (interpreter, libraries, input)."""

    peak_bytes: int
    before_bytes: int

    @property
    def work_bytes(self) -> int:
        return self.peak_bytes - self.before_bytes

    def data(self) -> dict[str, int]:
        """For the JSON."""
        return asdict(self)


def peak_of(make: Callable[..., Callable[[], object]], *arguments: Any) -> Peak:
    """Peak of `make(*arguments)()` in a fresh process; memory that `make` itself uses counts as before the work.

    Read from VmHWM: `ru_maxrss` includes the parent's size at the fork.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, make, arguments))
    process.start()
    sender.close()
    try:
        peak: Peak = receiver.recv()
    except EOFError:
        raise RuntimeError(f"the process that measures {make.__name__} ended early") from None
    finally:
        process.join()
    return peak


def peak_rss() -> int:
    """Largest resident size of this process so far, in bytes."""
    return _status("VmHWM")


def data_size() -> int:
    """Bytes of this process's private writable memory, used or only allocated: what RLIMIT_DATA limits."""
    return _status("VmData")


def _child(sender: Any, make: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> None:
    call = make(*arguments)
    before = _status("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # VmHWM starts anew at the present size
    call()
    sender.send(Peak(max(_status("VmHWM"), before), before))
    sender.close()


def _status(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"no {name} in /proc/self/status")
    return int(match[1]) << 10


def process_seconds() -> float:
    """Seconds since this process was started, the interpreter's own start included; exact to a clock tick (10 ms)."""
    started = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")
