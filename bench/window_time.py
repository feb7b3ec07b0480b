"""What does a small window cost the operator, without the server's part? `python -m bench.window_time [--side 160]`.

Windows of 32³ of a prepared volume through a real Triton on this machine: gathered, sent through shared memory, blended
and reduced to labels, as in a run. Over HTTP and gRPC; alone, and while two other processes keep the processor busy.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.support.output import RESULTS, Chart, Result, add_results
from bench.support.served import MODELS
from bench.support.server_time import server_seconds
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.windows import WindowGrid, make_grid
from gpu_infer.system.waiting_threads import wait_asleep
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import open_transport

MODEL = "tile"
WINDOW = (32, 32, 32)
SIDE = 160
CONTROLS = ("http", "grpc")
SLOTS = (1, 2)
BUSY = (0, 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.window_time", description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="voxels of the volume along each axis")
    parser.add_argument("--repeats", type=int, default=5)
    add_results(parser)
    arguments = parser.parse_args()
    environ = dict(os.environ)
    wait_asleep(environ)  # as in a command; read when NumPy and Numba are imported
    if environ != os.environ:
        os.execve(sys.executable, [sys.executable, "-m", "bench.window_time", *sys.argv[1:]], environ)
    run(arguments.side, repeats=arguments.repeats, folder=arguments.results)


def run(side: int = SIDE, *, repeats: int, folder: Path = RESULTS) -> None:
    """Measure and publish window_time.*."""
    volume = np.random.default_rng(5).random((1, side, side, side), dtype=np.float32) / 2
    grid = make_grid((side, side, side), WINDOW)
    windows = len(grid.visits)
    columns = ["busy processes", "in flight", "protocol", "window", "server", "window − server", "processor time"]
    result = Result(
        "window_time",
        f"One window of 32×32×32 through system_shm, {windows} windows a scan, CPU",
        columns,
        keys=3,
        notes=[
            "Medians of the scans; protocols take turns. window: time of the scan per window. server: the model's own "
            "time by Triton's statistics. processor time: of the operator's process, all threads.",
            "With two requests in flight, the server works while the operator gathers and blends.",
        ],
    )
    rows: list[dict[str, Any]] = []
    groups: dict[str, dict[str, float]] = {}
    with LocalServer([MODELS]) as server:
        for busy in BUSY:
            for slots in SLOTS:
                with busy_processes(busy):
                    costs = measure(server, volume, grid, slots, repeats)
                for control, cost in costs.items():
                    rows.append({"busy": busy, "in_flight": slots, "control": control, **cost})
                    cells = [f"{cost[name] * 1e6:.0f} µs" for name in ("window_s", "server_s", "own_s", "cpu_s")]
                    result.rows.append([str(busy), str(slots), control, *cells])
                    groups.setdefault(f"{slots} in flight, {busy} busy", {})[control] = cost["own_s"]
    result.data = {"side": side, "windows": windows, "rows": rows}
    result.chart = Chart(groups, "seconds per window without the server's")
    result.publish(folder)


def measure(
    server: LocalServer, volume: NDArray[np.float32], grid: WindowGrid, slots: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Per protocol, the medians of `repeats` scans: seconds per window."""
    scans: dict[str, list[dict[str, float]]] = {control: [] for control in CONTROLS}
    for turn in range(repeats + 1):
        for control in CONTROLS:
            cost = scan(server, volume, grid, control, slots)
            if turn > 0:  # the first one loads kernels and makes connections
                scans[control].append(cost)
    return {
        control: {name: round(statistics.median(cost[name] for cost in costs), 7) for name in costs[0]}
        for control, costs in scans.items()
    }


def scan(
    server: LocalServer, volume: NDArray[np.float32], grid: WindowGrid, control: str, slots: int
) -> dict[str, float]:
    """Seconds per window of one scan: in all, of the server, of the rest, and of the processor in this process."""
    backend = CpuBackend()
    endpoints = Endpoints(http=server.http, grpc=server.grpc)
    transport = open_transport(endpoints, backend, control=control, data="system_shm", wait_s=30.0)
    model = transport.server.model(MODEL)
    with SlotRing(transport, model, window=WINDOW, channels_in=1, channels_out=2, batch=1, slots=slots) as ring:
        warm_up = make_grid(WINDOW, WINDOW)
        for wanted, source in ((warm_up, volume[:, :32, :32, :32]), (grid, volume)):
            accumulator = Accumulator(backend, wanted, 2, ArgmaxFinalizer(backend, wanted, 2))
            before, began, worked = _model_seconds(server), time.perf_counter(), _processor_seconds()
            labels = scan_window(source, wanted, ring, accumulator, backend, batch=1)
            worked, spent = _processor_seconds() - worked, time.perf_counter() - began
            served = _model_seconds(server) - before
    if labels.any():  # the model answers 0.5 for both classes, but one voxel of the input, which is less
        raise RuntimeError(f"{control}: labels up to {labels.max()}, expected 0")
    windows = len(grid.visits)
    own = spent - served
    return {
        name: value / windows
        for name, value in zip(("window_s", "server_s", "own_s", "cpu_s"), (spent, served, own, worked), strict=True)
    }


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Other processes that keep the processor busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _model_seconds(server: LocalServer) -> float:
    spent = server_seconds(server.grpc, MODEL)
    return spent.input + spent.infer + spent.output


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
