"""Options that several commands share, defined once. None: the environment or the configuration decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.choices import Control as ControlChoice
from gpu_infer.choices import Data as DataChoice
from gpu_infer.choices import Device as DeviceChoice
from gpu_infer.choices import PublishDialect as DialectChoice
from gpu_infer.choices import Require as RequireChoice

_FILES = "Files"
_SERVER = "Server"
_MODEL = "Model and windows"


def path(text: str | Path) -> Path:
    """The path of an option. An empty text, as from an unset shell variable, would mean the current folder."""
    if not str(text).strip():
        raise typer.BadParameter("found an empty path")
    return Path(text)


Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        parser=path,
        help="A volume, or a folder with one. (env NVIDIA_CLARA_INPUT, default /input)",
        rich_help_panel=_FILES,
    ),
]
AllowForeignDataFiles = Annotated[
    bool | None,
    typer.Option(
        "--allow-foreign-data-files",
        help="Read data files outside the folder of the input's header.",
        rich_help_panel=_FILES,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=path,
        help="Folder for the label map. (env NVIDIA_CLARA_OUTPUT, default /output)",
        rich_help_panel=_FILES,
    ),
]
Publish = Annotated[
    str | None,
    typer.Option(
        "--publish",
        help="Folder for a renderer; default none. (env NVIDIA_CLARA_PUBLISHING)",
        rich_help_panel=_FILES,
    ),
]
PublishDialect = Annotated[
    DialectChoice | None,
    typer.Option(
        "--publish-dialect", help="Form of config.meta in the publish folder; default v1.", rich_help_panel=_FILES
    ),
]
Preview = Annotated[
    bool | None,
    typer.Option("--preview/--no-preview", help="Also write preview.png; default off.", rich_help_panel=_FILES),
]
Statistics = Annotated[
    bool | None,
    typer.Option(
        "--statistics/--no-statistics",
        help="Also measure every label: volume, place and values, for the report and a .csv; default off.",
        rich_help_panel=_FILES,
    ),
]
Logs = Annotated[
    Path | None,
    typer.Option(
        "--logs",
        parser=path,
        help="Folder for log and report. (env NVIDIA_CLARA_LOGS, default the output folder)",
        rich_help_panel=_FILES,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        parser=path,
        help="Configuration of the run. (env NVIDIA_CLARA_CONFIG_INFERENCE, default the packaged one)",
        rich_help_panel=_FILES,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        parser=path,
        metavar="FILE",
        help="Names of the labels; default labels.json beside the configuration, or its key labels.",
        rich_help_panel=_FILES,
    ),
]
Triton = Annotated[
    str | None,
    typer.Option(
        "--triton",
        metavar="ADDRESS|local",
        help="host:port, https://host:port or grpcs://host:port of the server; local: start one for this run. "
        "(env NVIDIA_CLARA_TRTISURI, then the configuration, then localhost:8000)",
        rich_help_panel=_SERVER,
    ),
]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models",
        parser=path,
        help="Model repository on this machine; default the packaged one.",
        rich_help_panel=_SERVER,
    ),
]
Control = Annotated[
    ControlChoice | None,
    typer.Option("--control", help="Protocol of the requests; default auto: gRPC, then HTTP.", rich_help_panel=_SERVER),
]
Data = Annotated[
    DataChoice | None,
    typer.Option(
        "--data", help="Data transport of the windows; default auto: the first that works.", rich_help_panel=_SERVER
    ),
]
Require = Annotated[
    RequireChoice | None,
    typer.Option("--require", help="Fail if this data transport does not work.", rich_help_panel=_SERVER),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        parser=path,
        help="PEM file of the authorities to trust. (env GPU_INFER_TLS_CA, default the system's)",
        rich_help_panel=_SERVER,
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        parser=path,
        help="PEM file with the client's certificate. (env GPU_INFER_TLS_CERT)",
        rich_help_panel=_SERVER,
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        parser=path,
        help="PEM file with the key of that certificate, without a password. (env GPU_INFER_TLS_KEY)",
        rich_help_panel=_SERVER,
    ),
]
Headers = Annotated[
    Path | None,
    typer.Option(
        "--headers",
        parser=path,
        metavar="FILE",
        help='Headers for every request, one "Name: value" per line. (env GPU_INFER_TRITON_HEADERS_FILE)',
        rich_help_panel=_SERVER,
    ),
]
Load = Annotated[
    bool | None,
    typer.Option(
        "--load", help="Load the model, if the server runs with explicit model control.", rich_help_panel=_SERVER
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        help="Seconds to wait for server and model, also after a lost connection; default 5 for the first answer, "
        "then 600.",
        rich_help_panel=_SERVER,
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline", help="Time limit of one request in seconds; default 300.", rich_help_panel=_SERVER),
]
Device = Annotated[
    DeviceChoice | None,
    typer.Option(
        "--device",
        help="Device for resampling and blending; default auto: the GPU if it can be used.",
        rich_help_panel=_MODEL,
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        help="Window mode: clara, monai or nnunet; default the configuration's, then clara.",
        rich_help_panel=_MODEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Name of the model on the server; default the configuration's.", rich_help_panel=_MODEL
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        help="Windows per request; default the configuration's, then the model's maximum.",
        rich_help_panel=_MODEL,
    ),
]
Slots = Annotated[
    int | None,
    typer.Option("--slots", help="Requests in flight; default the configuration's, then 2.", rich_help_panel=_MODEL),
]
Slab = Annotated[
    bool | None,
    typer.Option(
        "--slab/--no-slab", help="Rolling accumulator, which needs less memory; default on.", rich_help_panel=_MODEL
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        "--roi",
        metavar="X,Y,Z",
        help="Window size in voxels, if the model's input has dynamic dimensions.",
        rich_help_panel=_MODEL,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every log line on a terminal too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors alone: no progress, no list of the files.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log more, and print the traceback of an error.")]
