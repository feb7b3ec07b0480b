"""Rows on a card: counted instructions times trip counts, and the time that they, the bytes or the latency need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from bench.prediction.cards import LATENCY_S, REACHED_BANDWIDTH, REACHED_ISSUE, Card
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import cost, matches
from bench.sass.kernel_code import KernelCode
from bench.sass.loops import straight_path
from bench.sass.occupancy import blocks_per_multiprocessor
from bench.sass.paths import is_access

Codes = Mapping[str, KernelCode]


@dataclass(frozen=True)
class Prediction:
    """registers, blocks (per multiprocessor) of the row's largest launch; instructions of warps, in all.

    issue_s, double_s, bandwidth_s, latency_s  the least time that each allows
    expected_s                                 what is to be expected of the slowest of them
    share                                      of the copy bandwidth, with the bytes that bench.kernels counts
    """

    row: Row
    card: Card
    registers: int
    blocks: int
    instructions: float
    issue_s: float
    double_s: float
    bandwidth_s: float
    latency_s: float

    @property
    def per_output(self) -> float:
        """Instructions of a thread per output."""
        return self.instructions * 32 / self.row.outputs

    @property
    def per_warp(self) -> float:
        return self.instructions / sum(launch.warps for launch in self.row.launches)

    @property
    def expected_s(self) -> float:
        return max(
            self.issue_s / REACHED_ISSUE,
            self.double_s / REACHED_ISSUE,
            self.bandwidth_s / REACHED_BANDWIDTH,
            self.latency_s,
        )

    @property
    def bound(self) -> str:
        times = {
            "instructions": self.issue_s / REACHED_ISSUE,
            "float64": self.double_s / REACHED_ISSUE,
            "bytes": self.bandwidth_s / REACHED_BANDWIDTH,
            "latency": self.latency_s,
        }
        return max(times, key=lambda name: times[name])

    @property
    def share(self) -> float:
        return self.bandwidth_s / self.expected_s


def predict(row: Row, card: Card, codes: Codes) -> Prediction:
    """`codes` are the kernels compiled for the card's architecture."""
    largest = max(row.launches, key=lambda launch: instructions(launch, codes)[0])
    code = _code(largest.kernel, codes)
    shared = code.reported.shared + largest.shared
    blocks = blocks_per_multiprocessor(
        code.resources.registers,
        threads=largest.threads,
        warps=card.warps,
        shared=shared,
        shared_size=card.shared,
    )
    counts = [instructions(launch, codes) for launch in row.launches]
    total, doubles = (sum(column) for column in zip(*counts, strict=True))
    warps = min(blocks, largest.blocks / card.multiprocessors) * largest.warps_per_block * card.multiprocessors
    return Prediction(
        row,
        card,
        code.resources.registers,
        blocks,
        total,
        issue_s=total / card.issue_rate,
        double_s=doubles * 32 / (card.doubles * card.multiprocessors * card.clock),
        bandwidth_s=row.nbytes / card.copy_bandwidth,
        latency_s=row.read / (warps * 32 * row.in_flight) * LATENCY_S,
    )


def instructions(launch: Launch, codes: Codes) -> tuple[float, float]:
    """(all, float64 ones) of the warps of one launch."""
    code = _code(launch.kernel, codes)
    seeks = None if launch.early else partial(matches, launch.through) if launch.through else is_access
    total, doubles = float(launch.warps * len(straight_path(code.code, seeks))), 0.0
    for part in launch.parts:
        own, double = _part(part, code)
        total += own
        doubles += double
    return total, doubles


def _part(part: Part, code: KernelCode) -> tuple[float, float]:
    if part.items == 0:
        return 0.0, 0.0
    per_item = cost(part.loop, code)
    around = sum(turns * len(loop.lean) for turns, loop in zip(part.outer, per_item.enclosing, strict=False))
    return part.items * per_item.instructions + around, part.items * per_item.double


def _code(kernel: str, codes: Codes) -> KernelCode:
    if kernel not in codes:
        raise LookupError(f"no kernel {kernel} in kernels/: describe the rows in bench/prediction as they are launched")
    return codes[kernel]
