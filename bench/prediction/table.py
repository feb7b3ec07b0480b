"""The predicted rows as JSON, as a table, and as the section of bench/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.prediction.cards import CARDS, H200, L4, REACHED_BANDWIDTH, REACHED_ISSUE, Card
from bench.prediction.floors import Prediction, predict
from bench.prediction.geometry import Geometry
from bench.prediction.label_rows import ENDS_PER_PACK, label_rows
from bench.prediction.range_rows import range_rows
from bench.prediction.rows import Row
from bench.prediction.score_rows import score_rows
from bench.prediction.tap_rows import tap_row
from bench.prediction.voxel_rows import voxel_rows
from bench.prediction.window_rows import window_rows
from bench.sass.hot_loops import HotLoop
from bench.sass.kernel_code import module_code
from bench.sides.kernel_work import Shape
from gpu_infer.backends.gpu.compile.source import MODULES

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- predicted: written by bench.machine_code -->", "<!-- /predicted -->"

ASSUMPTIONS = (
    "Assumptions: the labels of the histogram change every 24 voxels, so that a warp meets "
    f"{ENDS_PER_PACK} ends of runs per 16 labels of each lane (with labels that do not change, it meets none and needs "
    "a sixth of the instructions); a voxel of a component is joined with three neighbours in one attempt each. The "
    "strided reads of convert, and the bytes that they fetch without need, are not modelled."
)

COMPARED = "The number before ⇒ is that of the kernels before their last change. "

COLUMNS = (
    "row",
    "registers → blocks per SM",
    "bytes",
    "instructions per warp",
    "per output",
    "issue floor",
    "bandwidth floor",
    f"share on {H200.name}",
    f"share on {L4.name}",
)


def all_rows(shape: Shape, window: Shape, multiprocessors: int) -> list[Row]:
    """The rows of bench.kernels in its order, with the launches of a card with that many multiprocessors."""
    geometry = Geometry.of(shape, window)
    return [
        *voxel_rows(geometry, multiprocessors),
        tap_row(geometry),
        *range_rows(geometry, multiprocessors),
        *window_rows(geometry),
        *label_rows(geometry),
        *score_rows(geometry),
    ]


def hot_loops(shape: Shape, window: Shape) -> list[HotLoop]:
    """Every hot loop of the rows, once."""
    parts = (
        part
        for row in all_rows(shape, window, H200.multiprocessors)
        for launch in row.launches
        for part in launch.parts
    )
    return list(dict.fromkeys(part.loop for part in parts))


def predictions(shape: Shape, window: Shape, major: int) -> dict[str, dict[str, Any]]:
    """Row → {"bytes", card's name → numbers}, for JSON, with the kernels as NVRTC of CUDA `major` compiles them."""
    table: dict[str, dict[str, Any]] = {}
    for card in CARDS:
        codes = {n: code for module in MODULES for n, code in module_code(module, card.architecture, major).items()}
        for row in all_rows(shape, window, card.multiprocessors):
            table.setdefault(row.name, {"bytes": row.nbytes})[card.name] = _numbers(predict(row, card, codes))
    return table


def _numbers(p: Prediction) -> dict[str, Any]:
    return {
        "kernels": list(dict.fromkeys(launch.kernel for launch in p.row.launches)),
        "registers": p.registers,
        "blocks_per_multiprocessor": p.blocks,
        "instructions": round(p.instructions),
        "per_warp": round(p.per_warp, 1),
        "per_output": round(p.per_output, 2),
        "issue_us": round(p.issue_s * 1e6, 1),
        "float64_us": round(p.double_s * 1e6, 1),
        "bandwidth_us": round(p.bandwidth_s * 1e6, 1),
        "latency_us": round(p.latency_s * 1e6, 1),
        "expected_us": round(p.expected_s * 1e6, 1),
        "bound": p.bound,
        "share": round(p.share, 3),
    }


def markdown(table: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]] | None = None) -> str:
    """One line per row; with `before`, the numbers that differ from it as "before → now"."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for name, row in table.items():
        cells = _cells(row)
        old = _cells(before[name]) if before and name in before else cells
        both = [new if new == was else f"{was} ⇒ {new}" for was, new in zip(old, cells, strict=True)]
        lines.append("| " + " | ".join([name, *both]) + " |")
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    here, there = row[H200.name], row[L4.name]
    return [
        f"{here['registers']} → {here['blocks_per_multiprocessor']}",
        f"{row['bytes'] / 1e6:.0f} MB",
        f"{here['per_warp']:.0f}",
        f"{here['per_output']:.1f}",
        f"{here['issue_us']:.0f} µs",
        f"{here['bandwidth_us']:.0f} µs",
        f"{here['share']:.0%} ({here['bound']})",
        f"{there['share']:.0%} ({there['bound']})",
    ]


def notes(version: str, *, compared: bool = False) -> str:
    """A paragraph with the meaning of the table's numbers; `compared` with those of earlier kernels."""
    cards = " and ".join(_described(card) for card in CARDS)
    return (
        "Predicted, not measured: `python -m bench.machine_code --predict` counts the instructions of the hot loops in "
        f"the machine code of NVRTC {version} and multiplies them by the trip counts of bench.kernels' rows. The time "
        f"of a row is the longest of three: its issue and float64 floors divided by {REACHED_ISSUE}, its bandwidth "
        f"floor divided by {REACHED_BANDWIDTH}, and the time in which the loads in flight transfer its bytes. Caches, "
        "conflicts and divergence are not modelled; the uncertainty is about ±30 %. "
        f"{COMPARED if compared else ''}{ASSUMPTIONS} GPUs: {cards}."
    )


def _described(card: Card) -> str:
    return (
        f"{card.name} with {card.multiprocessors} SMs at {card.clock / 1e9:.2f} GHz and copies at "
        f"{card.copy_bandwidth / 1e9:.0f} GB/s"
    )


def write_readme(text: str, path: Path = README) -> None:
    """Write `text` between the two marks; RuntimeError if they are missing."""
    content = path.read_text(encoding="utf-8")
    head, begin, rest = content.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", encoding="utf-8")
