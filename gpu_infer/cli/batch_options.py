"""Options of `gpu-infer batch` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli.options import FILES, path, port, whole_number

_CASES = "Cases"
_WORKERS = "Workers"
_METRICS = "Metrics"


def source(text: str) -> str:
    """The path or pattern of an option. An empty text, as of an unset variable, would mean the current folder."""
    if not text.strip():
        raise typer.BadParameter("found an empty path")
    return text


Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="[IN... OUT]", help="As --input and --output.", show_default=False),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        parser=source,
        metavar="PATH",
        help="Folder, quoted pattern, .csv or DICOM root with the cases. (env NVIDIA_CLARA_INPUT)",
        rich_help_panel=FILES,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=path,
        help="Folder that gets a folder for each case. (env NVIDIA_CLARA_OUTPUT)",
        rich_help_panel=FILES,
    ),
]
Logs = Annotated[
    Path | None,
    typer.Option(
        "--logs",
        parser=path,
        help="Folder for the log; each report is with its case. (env NVIDIA_CLARA_LOGS, default the output folder)",
        rich_help_panel=FILES,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the cases, their states and the memory plan, then end.", rich_help_panel=_CASES
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run cases that are done, too.", rich_help_panel=_CASES)]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Run cases again that failed by their own fault.", rich_help_panel=_CASES),
]
PartOption = Annotated[
    str | None,
    typer.Option("--part", metavar="I/N", help="Run one of N parts of the cases; default all.", rich_help_panel=_CASES),
]
Parts = Annotated[
    int | None,
    typer.Option(
        "--parts",
        parser=whole_number,
        metavar="N",
        help="Run the part of this task of an array job of N tasks. (env JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID)",
        rich_help_panel=_CASES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        parser=whole_number,
        metavar="N",
        help="Worker processes on this host; default one per GPU, or 1.",
        rich_help_panel=_WORKERS,
    ),
]
Lanes = Annotated[
    int | None,
    typer.Option(
        "--lanes",
        parser=whole_number,
        metavar="N",
        help="Cases that a worker has in work at a time; default 3.",
        rich_help_panel=_WORKERS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        parser=source,
        metavar="ADDRESS|FILE",
        help="Run on the Dask cluster of this scheduler: tcp://host:port, or its scheduler file. (extra dask)",
        rich_help_panel=_WORKERS,
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        parser=port,
        metavar="PORT",
        help="Serve metrics for Prometheus while the batch runs; 0 takes a free port. (extra metrics)",
        rich_help_panel=_METRICS,
    ),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(
        "--metrics-host",
        metavar="HOST",
        help="Address on which that port is open; default 127.0.0.1.",
        rich_help_panel=_METRICS,
    ),
]
MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        parser=path,
        help="Write the metrics at the end, for the textfile collector of the node exporter. (extra metrics)",
        rich_help_panel=_METRICS,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the content of summary.json instead of a table.")]
