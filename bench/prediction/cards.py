"""The properties of a GPU that a prediction needs."""

from __future__ import annotations

from dataclasses import dataclass

LATENCY_S = 0.75e-6
"""From a load under full traffic to its value; a round number between measured ones of several cards."""

REACHED_ISSUE, REACHED_BANDWIDTH = 0.65, 0.88
"""Parts of the issue limit and of a plain copy's bandwidth that a good kernel reaches."""


@dataclass(frozen=True)
class Card:
    """architecture   "90" for sm_90
    clock             Hz, under load
    copy_bandwidth    bytes per second of a copy within the device, read and written
    warps, shared     per multiprocessor; shared in bytes
    doubles           float64 operations per clock and multiprocessor
    """

    name: str
    architecture: str
    multiprocessors: int
    clock: float
    copy_bandwidth: float
    warps: int
    shared: int
    doubles: int

    @property
    def issue_rate(self) -> float:
        """Warp instructions per second: four schedulers per multiprocessor, one instruction per clock each."""
        return 4 * self.multiprocessors * self.clock


H200 = Card("H200", "90", 132, 1.98e9, 4.3e12, warps=64, shared=228 << 10, doubles=64)
L4 = Card("L4", "89", 58, 2.04e9, 0.9 * 300e9, warps=48, shared=100 << 10, doubles=2)
CARDS = (H200, L4)
