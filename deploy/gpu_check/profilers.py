"""compute-sanitizer and Nsight Compute in the GPU check: their paths, commands and output."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDERS = ("usr/local/cuda*/bin", "opt/nvidia/nsight-compute/*")
"""Folders below the root that are searched after PATH."""
METRICS = (
    "dram__bytes.sum",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
    "smsp__inst_executed.sum",
    "launch__occupancy_limit_registers",
)
KERNELS = "regex:prepare|taps|restore|blend|finish|gather|pick|argmax|threshold|masked|moments|extr?e|histogram|lookup"
LAUNCHES = 240
"""More than one pass over the rows of bench.kernels needs; a limit for a bench that never ends."""
SANITIZED = "prepare or restore or finish or components or extent"
"""The contract's tests of kernels with shared memory or with atomic operations."""
_ERROR = re.compile(r"^=+ +(Invalid|Error|Race|Program hit|Uninitialized|Barrier|Out-of-range|Misaligned).*")
_SUMMARY = re.compile(r"^=+ +(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)")


def find_tool(name: str, *, path: str | None = None, root: Path = Path("/")) -> str | None:
    """The program on PATH, else in the newest folder of CUDA or Nsight Compute; None if not installed."""
    if (program := shutil.which(name, path=path)) is not None:
        return program
    for pattern in FOLDERS:
        for folder in sorted(root.glob(pattern), reverse=True):
            if (program := shutil.which(name, path=str(folder))) is not None:
                return program
    return None


def sanitizer_command(tool: str, check: str, python: str, contract: Path, log: Path) -> list[str]:
    """compute-sanitizer's `check` (memcheck, racecheck) over tests of the contract; its findings go to `log`."""
    tests = [python, "-m", "pytest", "-q", "-m", "gpu", "-k", SANITIZED, "-W", "default", "-p", "no:cacheprovider"]
    options = ["--tool", check, "--log-file", str(log), "--error-exitcode", "86", "--print-limit", "20"]
    return [tool, *options, *tests, str(contract)]


def sanitizer_findings(log: str) -> dict[str, Any]:
    """Errors of a log, complete or not: their number, whether the summary is present, and the first five lines."""
    lines = log.splitlines()
    errors = [line.strip("= ") for line in lines if _ERROR.match(line)]
    summaries = [match for line in lines if (match := _SUMMARY.match(line))]
    count = sum(int(match[1] or match[2]) for match in summaries) if summaries else len(errors)
    return {"errors": count, "complete": bool(summaries), "first": errors[:5]}


def counters_command(tool: str, python: str, log: Path) -> list[str]:
    """ncu over every row of bench.kernels, each run once; one line of CSV per kernel and metric goes to `log`."""
    what = ["--metrics", ",".join(METRICS), "--kernel-name", KERNELS, "--launch-count", str(LAUNCHES)]
    how = ["--clock-control", "none", "--target-processes", "all", "--csv", "--log-file", str(log)]
    return [tool, *how, *what, python, "-m", "bench.kernels", "--quick", "--once"]


def read_counters(lines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per kernel its launches and the mean of every metric over them, from ncu's CSV; empty without a table."""
    start = next((n for n, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        return {}
    launches: dict[str, set[str]] = {}
    values: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(lines[start:]):
        kernel, text = row.get("Kernel Name"), (row.get("Metric Value") or "").replace(",", "")
        if not kernel or not re.fullmatch(r"-?\d+(\.\d+)?", text):
            continue
        name = kernel.split("(")[0]
        unit = row.get("Metric Unit") or ""
        metric = f"{row['Metric Name']} [{unit}]" if unit else str(row["Metric Name"])
        launches.setdefault(name, set()).add(str(row["ID"]))
        values.setdefault(name, {}).setdefault(metric, []).append(float(text))
    return {
        name: {"launches": len(launches[name]), **{m: round(sum(v) / len(v), 3) for m, v in metrics.items()}}
        for name, metrics in values.items()
    }
