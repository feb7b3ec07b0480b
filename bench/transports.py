"""How long does a window take to the server and back? `python -m bench.transports [--tiles N]`.

A real Triton on this machine serves a model that computes almost nothing (bench/models/tile, on a GPU
bench/models_gpu/tile; one channel in, two out). Every transport of the client, and Triton's JSON; 1, 2 and 4 requests
in flight. The operator's own functions fill slots and blend answers, on the GPU if there is one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds
from bench.support.served import models_device, served
from gpu_infer.backends.base.backend import Backend, RollingSums
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import GpuInferError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.ring import Slot, SlotRing
from gpu_infer.triton.transport import open_transport

MODEL = "tile"
Shape = tuple[int, int, int]
TILES: tuple[Shape, ...] = ((64, 64, 64), (128, 128, 128), (320, 320, 64))
TRANSPORTS = (
    ("http", "inline"),
    ("grpc", "inline"),
    ("http", "system_shm"),
    ("grpc", "system_shm"),
    ("http", "cuda_shm"),
    ("grpc", "cuda_shm"),
)
IN_FLIGHT = (1, 2, 4)
CORNER = (0, 0, 0)
JSON_LIMIT = 64**3
"""Voxels up to which JSON is timed without --json-everywhere: a tile of 320×320×64 takes a quarter of a minute."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.transports", description=__doc__)
    parser.add_argument("--tiles", type=int, default=12, help="tiles per measurement")
    parser.add_argument("--json-everywhere", action="store_true", help="JSON for the large tiles too")
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.tiles, json_everywhere=arguments.json_everywhere, folder=arguments.results)


def run(tiles: int, *, json_everywhere: bool = False, folder: Path = RESULTS) -> None:
    """Measure and publish transports.*."""
    backend = choose_backend("auto")
    result = Result(
        "transports",
        "Tiles to Triton and back, 1 channel in, 2 out",
        ["tile", "way", "in flight", "latency", "tiles/s", "MiB/s", "copied into messages"],
        keys=2,
        notes=[
            f"Tiles are gathered and blended on the {backend.name.upper()}.",
            "Latency: median from the request to the answer in the slot. Rates count gathering the tile into the slot "
            "and blending the answer into sums. The server's own copies (its Python backend) are part of every row.",
        ],
    )
    groups: dict[str, dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    with served(backend) as (server, note):
        result.notes.append(note)
        result.data["models_device"] = models_device(server)
        for shape in TILES:
            name = "×".join(map(str, shape))
            groups[name] = {}
            if json_everywhere or np.prod(shape) <= JSON_LIMIT:
                latency = _json(server.http, shape, 2)
                groups[name]["HTTP, JSON"] = latency
                rows.append({"tile": name, "way": "HTTP, JSON", "in_flight": 1, "latency_s": latency})
                result.rows.append([name, "HTTP, JSON", "1", seconds(latency), f"{1 / latency:.2f}", "", ""])
            for control, data in TRANSPORTS:
                way = f"{control}, {data}"
                for slots in IN_FLIGHT:
                    try:
                        row = _tiles(server, backend, control, data, shape, slots, tiles)
                    except GpuInferError as error:
                        result.data.setdefault("skipped", {})[way] = str(error)
                        break
                    rows.append({"tile": name, "way": way, **row})
                    result.rows.append(
                        [
                            name,
                            way,
                            str(slots),
                            seconds(row["latency_s"]),
                            f"{row['tiles_per_s']:.1f}",
                            f"{row['mib_per_s']:.0f}",
                            mebibytes(row["inline_bytes_per_tile"]),
                        ]
                    )
                    groups[name][f"{way}, {slots} in flight"] = 1 / row["tiles_per_s"]
    result.data |= {"device": backend.name, "rows": rows}
    result.chart = Chart(groups, "seconds per tile (logarithmic)")
    result.publish(folder)


def _tiles(
    server: LocalServer, backend: Backend, control: str, data: str, shape: Shape, slots: int, tiles: int
) -> dict[str, Any]:
    tile = backend.upload(np.random.default_rng(1).random((1, *shape), dtype=np.float32))
    sums = RollingSums(backend.zeros((2, *shape), np.float32), shape)
    with _ring(server, backend, control, data, shape, slots) as ring:
        _stream(ring, backend, tile, sums, slots + 1)
        before = ring.counters()
        began = time.perf_counter()
        latencies = _stream(ring, backend, tile, sums, tiles)
        spent = time.perf_counter() - began
        after = ring.counters()
    nbytes = 3 * 4 * int(np.prod(shape))
    return {
        "in_flight": slots,
        "latency_s": round(statistics.median(latencies), 6),
        "latency_low_s": round(min(latencies), 6),
        "latency_high_s": round(max(latencies), 6),
        "tiles_per_s": round(tiles / spent, 3),
        "mib_per_s": round(tiles * nbytes / spent / 2**20, 1),
        "inline_bytes_per_tile": (after["bytes_inline"] - before["bytes_inline"]) // tiles,
        "shm_bytes_per_tile": (after["bytes_shm"] - before["bytes_shm"]) // tiles,
    }


@contextmanager
def _ring(
    server: LocalServer, backend: Backend, control: str, data: str, shape: Shape, slots: int
) -> Iterator[SlotRing]:
    endpoints = Endpoints(http=server.http, grpc=server.grpc)
    transport = open_transport(endpoints, backend, control=control, data=data, wait_s=30.0)
    with SlotRing(
        transport,
        transport.server.model(MODEL),
        window=shape,
        channels_in=1,
        channels_out=2,
        batch=1,
        slots=slots,
        deadline_s=60.0,
    ) as ring:
        yield ring


def _stream(ring: SlotRing, backend: Backend, tile: Any, sums: RollingSums, tiles: int) -> list[float]:
    """Send `tiles` tiles with every slot in flight; seconds from each request to its answer.

    tile  float32 [1, X, Y, Z] and sums of [2, X, Y, Z], both on the backend; slots may be host memory all the same
    """
    latencies: list[float] = []
    waiting: deque[tuple[Slot, float]] = deque()

    def drain() -> None:
        slot, sent = waiting.popleft()
        answer = ring.wait(slot)
        latencies.append(time.perf_counter() - sent)
        backend.blend(answer, [CORNER], [1], None, sums)
        ring.release(slot)

    for _ in range(tiles):
        if len(waiting) == ring.slots:
            drain()
        slot = ring.acquire()
        backend.gather(tile, [CORNER], slot.input, 0.0)
        backend.fence()  # after the blend of the slot's last answer, too
        waiting.append((slot, time.perf_counter()))
        ring.submit(slot, 1)
    while waiting:
        drain()
    backend.fence()
    return latencies


def _json(url: str, shape: Shape, tiles: int) -> float:
    """Median seconds of a request whose tensors are JSON numbers, with Triton's own client."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(url, network_timeout=300.0)
    values = np.random.default_rng(1).random((1, 1, *shape), dtype=np.float32)
    spent = []
    for _ in range(tiles):
        began = time.perf_counter()
        tensor = triton.InferInput("NV_MODEL_INPUT", list(values.shape), "FP32")
        tensor.set_data_from_numpy(values, binary_data=False)
        output = triton.InferRequestedOutput("NV_MODEL_OUTPUT", binary_data=False)
        client.infer(MODEL, [tensor], outputs=[output]).as_numpy("NV_MODEL_OUTPUT")
        spent.append(time.perf_counter() - began)
    client.close()
    return statistics.median(spent)


if __name__ == "__main__":
    main()
