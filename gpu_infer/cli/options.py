"""Options that several commands share, defined once. None: the environment or the configuration decides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.choices import Control as ControlChoice
from gpu_infer.choices import Data as DataChoice
from gpu_infer.choices import Device as DeviceChoice
from gpu_infer.choices import Require as RequireChoice
from gpu_infer.choices import Tilt as TiltChoice

FILES = "Files"
_SERVER = "Server"
_MODEL = "Model and windows"


def path(text: str | Path) -> Path:
    """The path of an option. An empty text, as from an unset shell variable, would mean the current folder."""
    if not str(text).strip():
        raise typer.BadParameter("found an empty path")
    return Path(text)


def seconds(text: str | float) -> float:
    """The number of an option for a time; `Settings` checks its size."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"found {text!r}, expected a number of seconds") from None


def whole_number(text: str | int) -> int:
    """The number of an option that counts; `Settings` checks its size."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"found {text!r}, expected a whole number") from None


def port(text: str | int) -> int:
    """A TCP port, or 0 for a free one."""
    if not re.fullmatch("[0-9]{1,5}", str(text)) or int(text) > 65535:
        raise typer.BadParameter(f"found {str(text)!r}, expected a port from 0 to 65535")
    return int(text)


Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        parser=path,
        help="A volume, or a folder with one; a DICOM study. (env NVIDIA_CLARA_INPUT)",
        rich_help_panel=FILES,
    ),
]
First = Annotated[
    bool | None,
    typer.Option("--first", help="Of several volumes in a folder, take the first by name.", rich_help_panel=FILES),
]
AllowForeignDataFiles = Annotated[
    bool | None,
    typer.Option(
        "--allow-foreign-data-files",
        help="Read data files outside the folder of the input's header.",
        rich_help_panel=FILES,
    ),
]
Series = Annotated[
    str | None,
    typer.Option(
        "--series",
        metavar="NUMBER|UID|RULE",
        help="Series of a DICOM study; default the configuration's rules, then the only volume.",
        rich_help_panel=FILES,
    ),
]
Tilt = Annotated[
    TiltChoice | None,
    typer.Option(
        "--tilt",
        help="Tilted or uneven DICOM slices: refuse them (default), or segment them in index space.",
        rich_help_panel=FILES,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="PATTERN",
        help="Name of all outputs, as {PatientID}_{SeriesNumber}; default the name of the input.",
        rich_help_panel=FILES,
    ),
]
WithIdentity = Annotated[
    bool | None,
    typer.Option("--with-identity", help="Allow values that identify the patient.", rich_help_panel=FILES),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=path,
        help="Folder for the label map, or its file, as out/name.nii.gz. (env NVIDIA_CLARA_OUTPUT)",
        rich_help_panel=FILES,
    ),
]
Logs = Annotated[
    Path | None,
    typer.Option(
        "--logs",
        parser=path,
        help="Folder for log and report. (env NVIDIA_CLARA_LOGS, default the output folder)",
        rich_help_panel=FILES,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        parser=path,
        help="Configuration, or the folder with it. (env NVIDIA_CLARA_CONFIG_INFERENCE, default the packaged one)",
        rich_help_panel=FILES,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        parser=path,
        metavar="FILE",
        help="Names of the labels; default labels.json beside the configuration, or its key labels.",
        rich_help_panel=FILES,
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
    typer.Option("--control", help="Protocol of the requests; default auto: HTTP, then gRPC.", rich_help_panel=_SERVER),
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
        parser=seconds,
        metavar="SECONDS",
        help="Seconds to wait for server and model, also after a lost connection; default 5 for the first answer, "
        "then 600.",
        rich_help_panel=_SERVER,
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        parser=seconds,
        metavar="SECONDS",
        help="Time limit of one request; default 300.",
        rich_help_panel=_SERVER,
    ),
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
        parser=whole_number,
        metavar="N",
        help="Windows per request; default the configuration's, then the model's maximum.",
        rich_help_panel=_MODEL,
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(
        "--slots",
        parser=whole_number,
        metavar="N",
        help="Requests in flight; default the configuration's, then 2.",
        rich_help_panel=_MODEL,
    ),
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
