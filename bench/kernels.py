"""How close is each kernel to the copy bandwidth of the GPU? `python -m bench.kernels [--quick]`, on a GPU.

The GPU works before the first measurement, so that its clocks are up. The bandwidth is measured first, with a copy
within the device. CUDA events time each kernel without the host's part of the launch; its bytes are counted once. The
first row is the time of the smallest launch, which is part of the time of every short kernel. Other packages do the
same work in the same run. `--once` runs every row once without timing, for a profiler.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.sides.kernel_clock import COPY_BYTES, LEAD_BYTES, RAMP_AGAIN_S, RAMP_S, SWEEP_BYTES, Clock
from bench.sides.kernel_peers import peers
from bench.sides.kernel_work import Scene, Shape, Work, scene, works
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes
from deploy.gpu_check.card_state import CardState
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import GpuInferError

FULL: tuple[Shape, Shape] = ((512, 512, 300), (192, 192, 128))
QUICK: tuple[Shape, Shape] = ((256, 256, 128), (96, 96, 64))


@dataclass(frozen=True)
class Measured:
    """One row.

    seconds  of every repeat
    nbytes   bytes moved, counted once
    modules  modules of the kernels, one per launch; empty for a peer
    pairs    pairs of events whose sum the seconds are
    card     clocks and power during more of the same work
    """

    row: str
    side: str
    seconds: tuple[float, ...]
    nbytes: int
    modules: list[str] = field(default_factory=list)
    pairs: float = 1
    card: dict[str, Any] | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def share(self, bandwidth: float) -> float:
        return self.nbytes / self.median / bandwidth

    def data(self, bandwidth: float) -> dict[str, Any]:
        """For the JSON."""
        return {
            "kernel": self.row,
            "side": self.side,
            "median_s": self.median,
            "runs_s": self.seconds,
            "bytes": self.nbytes,
            "share": round(self.share(bandwidth), 4),
            "modules": self.modules,
            "launches": len(self.modules),
            "event_pairs": self.pairs,
            "card": self.card,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="256×256×128 voxels instead of 512×512×300")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--ramp", type=float, default=RAMP_S, help="seconds of work before the first row")
    parser.add_argument("--once", action="store_true", help="every row once, untimed, without a result")
    add_results(parser)
    arguments = parser.parse_args()
    try:
        backend = choose_backend("gpu")
        shape, window = QUICK if arguments.quick else FULL
        if arguments.once:
            run_once(backend, shape, window)
        else:
            folder = arguments.results
            run(backend, shape, window, repeats=arguments.repeats, ramp=arguments.ramp, folder=folder)
    except GpuInferError as error:
        sys.exit(f"bench.kernels needs a GPU: {error}")


def run_once(backend: Any, shape: Shape, window: Shape) -> int:
    """Every row's kernels once, without copies and events between them; the number of rows."""
    rows = works(scene(backend, shape, window))
    for work in rows:
        if work.renew is not None:
            work.renew()
        work.call()
    backend.fence()
    return len(rows)


def run(
    backend: Any,
    shape: Shape,
    window: Shape,
    *,
    repeats: int,
    copied: int = COPY_BYTES,
    lead: int = LEAD_BYTES,
    sweep: int = SWEEP_BYTES,
    ramp: float = RAMP_S,
    folder: Path = RESULTS,
) -> list[Measured]:
    """Measure and publish kernels.*.

    Raises:
        ResourceError: the device has too little memory.
    """
    clock = Clock(backend, lead, sweep)
    stage = scene(backend, shape, window)
    rows = works(stage)
    clock.ramp(rows[0].call, ramp)
    with clock.own_stream():
        bandwidth = 2 * copied / statistics.median(clock.copy_seconds(copied) for _ in range(max(3, repeats)))
    floor = clock.floor_seconds(max(3, repeats))
    card = CardState(_bus_id(backend))
    measured, skipped = _measure(backend, clock, stage, rows, card, repeats=repeats, ramp=min(ramp, RAMP_AGAIN_S))
    result = Result(
        "kernels",
        f"Kernels on {'×'.join(map(str, shape))} int16, model's grid {'×'.join(map(str, stage.grid))}",
        ["kernel", "side", "time", "moved", "GB/s", "of copy bandwidth"],
        keys=2,
        notes=[
            f"Copy within the device: {bandwidth / 1e9:.0f} GB/s (read and written).",
            f"Launch floor: {floor * 1e6:.1f} µs for a kernel with one value; per pair of events (event_pairs in the "
            "JSON) as much of a row's time is not the kernel's.",
            "GPU time, medians of CUDA events; bytes read and written counted once, whatever a peer moves in between.",
            *(f"{name} left out: {why}" for name, why in skipped.items()),
            *([] if card.reason is None else [f"Clocks and power left out: {card.reason}."]),
        ],
    )
    result.rows.append(["launch floor", "gpu_infer", f"{floor * 1e3:.4f} ms", "", "", ""])
    groups: dict[str, dict[str, float]] = {}
    for m in measured:
        rate, share = m.nbytes / m.median / 1e9, m.share(bandwidth)
        result.rows.append(
            [m.row, m.side, f"{m.median * 1e3:.3f} ms", mebibytes(m.nbytes), f"{rate:.0f}", f"{share:.0%}"]
        )
        groups.setdefault(m.row, {})[m.side] = 100 * share
    result.data = {
        "shape": shape,
        "window": stage.window,
        "copy_bandwidth_bytes_per_s": round(bandwidth),
        "launch_floor_s": floor,
        "rows": [m.data(bandwidth) for m in measured],
        "skipped": skipped,
        "card_missing": card.reason,
    }
    result.chart = Chart(groups, "% of the measured copy bandwidth", logarithmic=False)
    result.publish(folder)
    return measured


def _bus_id(backend: Any) -> str:
    """PCI address of the backend's device."""
    from gpu_infer.backends.gpu.device.cupy_import import cupy

    return str(cupy.cuda.runtime.deviceGetPCIBusId(backend._device.number))


def _measure(
    backend: Any, clock: Clock, stage: Scene, rows: list[Work], card: CardState, *, repeats: int, ramp: float
) -> tuple[list[Measured], dict[str, str]]:
    """(rows of the table, reasons by skipped peer). `ramp`: seconds of work for a card that was idle."""
    others, skipped = peers(stage), {}
    busy = rows[0].call
    measured = []
    for work in rows:
        seconds, modules = _timed(clock, work, repeats, lambda: clock.wake(busy, ramp))
        pairs = (1 if work.together else len(modules)) / work.times
        state = card.sample(lambda work=work: clock.spin(work.call))
        measured.append(Measured(work.name, "gpu_infer", tuple(seconds), work.nbytes, modules, pairs, state))
        backend.fence()
        for name, call in others.get(work.name, {}).items():
            try:
                call()
                clock.wake(busy, ramp)
                theirs = tuple(clock.seconds(call) for _ in range(1 + repeats))[1:]
                state = card.sample(lambda call=call: clock.spin(call))
            except Exception as error:  # any error of a peer of another version skips its row only
                skipped[f"{name} ({work.name})"] = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            measured.append(Measured(work.name, name, theirs, work.nbytes, card=state))
    return measured, skipped


def _timed(clock: Clock, work: Work, repeats: int, wake: Callable[[], object]) -> tuple[list[float], list[str]]:
    """(seconds of every repeat, modules of the kernels), without the first run, which loads kernels and tables.

    wake  called after that first run, since the card may have been idle during a compilation
    """
    seconds: list[float] = []
    modules: list[str] = []
    for n in range(1 + repeats):
        with clock.own_stream():
            if work.renew is not None:
                work.renew()
        if work.together and n > 0:
            seconds.append(clock.together(work.call, len(modules)) / work.times)
        else:
            spent, modules = clock.kernels(work.call)
            seconds.append(spent / work.times)
        if n == 0:
            wake()
    return seconds[1:], modules


if __name__ == "__main__":
    main()
