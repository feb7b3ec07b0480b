"""Tables of the README from results of benches: transports, and windows of the library function."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bench.support.output import seconds

SAME = 1.05  # ratio of two times below which neither is called faster
TRANSPORTS = {
    "HTTP, JSON": "HTTP, JSON",
    "http, inline": "HTTP, binary",
    "grpc, inline": "gRPC",
    "http, system_shm": "HTTP, system shared memory",
    "grpc, system_shm": "gRPC, system shared memory",
    "http, cuda_shm": "HTTP, CUDA shared memory",
    "grpc, cuda_shm": "gRPC, CUDA shared memory",
}


def transports_lines(result: dict[str, Any]) -> list[str]:
    """Lines of a table: latency of one window by transport and size, for transports that were measured."""
    latencies: dict[str, dict[str, float]] = {}
    for row in result["rows"]:
        if row["in_flight"] == 1:
            latencies.setdefault(row["way"], {})[row["tile"]] = row["latency_s"]
    sizes = list(dict.fromkeys(row["tile"] for row in result["rows"]))
    http = latencies["http, inline"]
    table = []
    for way, name in TRANSPORTS.items():
        if (of_way := latencies.get(way)) is None:
            continue
        cells = {size: _against(of_way.get(size), http[size]) for size in sizes}
        table.append({"transport": name, **cells})
    text = (
        "Time of one window to Triton and back (`python -m bench.transports`), with a model of negligible compute "
        "time, 1 channel to the server and 2 back, one request at a time. JSON has the tensors as numbers, binary HTTP "
        f"and gRPC have their bytes in the message. In brackets: compared with binary HTTP. {machine_of(result)}."
    )
    return [wrapped(text), "", *table_lines(table)]


def _against(own: float | None, http: float) -> str:
    if own is None:
        return "not measured"
    ratio = max(http / own, own / http)
    words = "" if ratio < SAME else f" ({ratio:.1f}× {'faster' if own < http else 'slower'})"
    return f"{seconds(own)}{words}"


def windows_lines(result: dict[str, Any]) -> list[str]:
    """Lines of a table: ranges over batches, overlaps and weights, window by window."""
    sides = {"gpu_infer, NumPy": "NumPy", "gpu_infer, PyTorch": "PyTorch", "MONAI": "MONAI"}
    table = []
    for window in dict.fromkeys(row["window"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["window"] == window and sides.keys() <= row.keys()]
        medians = {side: [row[side]["median_s"] for row in rows] for side in sides}
        if not rows:
            continue
        cells = {name: f"{seconds(min(medians[s]))} … {seconds(max(medians[s]))}" for s, name in sides.items()}
        for side in ("gpu_infer, NumPy", "gpu_infer, PyTorch"):
            ratios = [theirs / ours for theirs, ours in zip(medians["MONAI"], medians[side], strict=True)]
            cells[f"MONAI ÷ {sides[side]}"] = f"{min(ratios):.1f} … {max(ratios):.1f}"
        table.append({"window": f"{window}×{window}×{window}", **cells})
    text = (
        f"`sliding_window_inference` (`python -m bench.windows`) on {result['side']}³ voxels, with a predictor that "
        "returns its input; ranges over 1 and 4 windows per call, overlaps of 0.25 and 0.5, constant and Gaussian "
        f"weights; {machine_of(result)}:"
    )
    return [wrapped(text), "", *table_lines(table)] if table else []


def table_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return lines + ["| " + " | ".join(row.values()) + " |" for row in rows]


def machine_of(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return ", ".join(filter(None, (machine["cpu"], f"{machine['cores']} cores", machine["gpu"])))


def wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
