"""Host memory for the GPU check: its size, and touching it once before the measurements.

The memory of a microVM may be small at first and grow with use: until then, plans are for too small a host, and the
first touch of each page is slow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET_GIB = 24
THREADS = 4
CHUNK = 64 << 20
SPARE = 2 << 30
"""Bytes that stay free; on a host with less than four times as much, a quarter of its free memory."""
GROWTH_S = 3.0
"""Seconds that the host may need to grow if only SPARE is free."""


def memory_facts(meminfo: Path = Path("/proc/meminfo")) -> dict[str, Any]:
    """Bytes: MemTotal and MemAvailable, size and free space of /dev/shm and /tmp; None for what does not exist."""
    values = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
    facts: dict[str, Any] = {
        name: int(values[name].split()[0]) * 1024 if name in values else None for name in ("MemTotal", "MemAvailable")
    }
    for folder in ("/dev/shm", "/tmp"):
        try:
            usage = shutil.disk_usage(folder)
            facts[folder] = {"size": usage.total, "free": usage.free}
        except OSError:
            facts[folder] = None
    return facts


def touch(
    target: int, *, seconds: float, free: Callable[[], int], chunk: int = CHUNK, growth_s: float = GROWTH_S
) -> int:
    """Write to every page of up to `target` bytes, by THREADS threads, and free them; bytes touched.

    Ends early after `seconds`, and if no more than SPARE is free and the host does not grow.
    """
    import numpy as np

    spare = min(SPARE, free() // 4)
    deadline = time.monotonic() + seconds
    lock = threading.Lock()
    chunks: list[Any] = []
    ordered = 0

    def take() -> bool:
        """Reserve one chunk; False at the end."""
        nonlocal ordered
        with lock:
            waited = time.monotonic() + growth_s
            while free() < spare + THREADS * chunk:
                if time.monotonic() > min(waited, deadline):
                    return False
                time.sleep(0.05)
            if ordered + chunk > target or time.monotonic() > deadline:
                return False
            ordered += chunk
            return True

    def work() -> None:
        while take():
            block = np.empty(chunk, np.uint8)
            block[::4096] = 1
            chunks.append(block)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(block.nbytes for block in chunks)


def main() -> None:
    from gpu_infer.system.host_memory import free_host_bytes

    parser = argparse.ArgumentParser(prog="python -m deploy.gpu_check.memory", description=__doc__)
    parser.add_argument("--gib", type=float, default=TARGET_GIB)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    before, started = memory_facts(), time.monotonic()
    touched = touch(int(arguments.gib * 2**30), seconds=arguments.seconds, free=free_host_bytes)
    spent = round(time.monotonic() - started, 2)
    facts = {"before": before, "touched_bytes": touched, "touching_s": spent, "after": memory_facts()}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
