"""Clocks and power of the card while it works, by nvidia-smi."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

QUERY = {
    "clocks.sm": "sm_clock_mhz",
    "clocks.mem": "memory_clock_mhz",
    "power.draw": "power_w",
}
TIMEOUT_S = 20.0


class CardState:
    """Reads one card's state from nvidia-smi; `reason` is why it cannot, None if it can.

    bus_id  PCI address of the card; None: the first card that nvidia-smi lists
    """

    def __init__(self, bus_id: str | None, *, path: str | None = None) -> None:
        self._program = shutil.which("nvidia-smi", path=path)
        self._card = [] if bus_id is None else [f"--id={bus_id}"]
        self.reason: str | None = None if self._program else "no nvidia-smi on PATH"

    def sample(self, busy: Callable[[], object]) -> dict[str, Any] | None:
        """SM and memory clock in MHz and power in W during repeated calls of `busy`; None with a `reason`.

        A field that the card does not report is None.
        """
        if self._program is None or self.reason is not None:
            return None
        fields = ["--query-gpu=" + ",".join(QUERY), "--format=csv,noheader,nounits"]
        process = subprocess.Popen(
            [self._program, *self._card, *fields],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        try:
            while process.poll() is None:
                busy()
            output, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        lines = output.strip().splitlines()
        values = lines[0].split(", ") if lines else []
        if process.returncode or len(values) != len(QUERY):
            answer = lines[0] if lines else f"exit status {process.returncode}"
            self.reason = f"nvidia-smi does not answer: {answer}"
            return None
        return {name: _number(value) for name, value in zip(QUERY.values(), values, strict=True)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # [N/A]
        return None
