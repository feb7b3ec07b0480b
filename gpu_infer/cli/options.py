"""Options that several commands share, defined once. None: not given, environment or config decide."""

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
    """Of an option's text; an empty one, as of a shell variable that is not set, would mean the current folder."""
    if not str(text).strip():
        raise typer.BadParameter("found an empty path")
    return Path(text)


Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        parser=path,
        help="Volume, or folder with one. (env NVIDIA_CLARA_INPUT, /input)",
        rich_help_panel=_FILES,
    ),
]
AllowForeignDataFiles = Annotated[
    bool | None,
    typer.Option(
        "--allow-foreign-data-files",
        help="Read data files that the input's header names outside its folder.",
        rich_help_panel=_FILES,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        parser=path,
        help="Folder for the label map. (env NVIDIA_CLARA_OUTPUT, /output)",
        rich_help_panel=_FILES,
    ),
]
Publish = Annotated[
    str | None,
    typer.Option(
        "--publish",
        help="Folder for a renderer; empty: publish nothing. (env NVIDIA_CLARA_PUBLISHING, /publish)",
        rich_help_panel=_FILES,
    ),
]
PublishDialect = Annotated[
    DialectChoice | None,
    typer.Option("--publish-dialect", help="Form of config.meta; default v1.", rich_help_panel=_FILES),
]
Preview = Annotated[
    bool | None,
    typer.Option("--preview/--no-preview", help="Write preview.png beside the label map.", rich_help_panel=_FILES),
]
Logs = Annotated[
    Path | None,
    typer.Option(
        "--logs", parser=path, help="Folder for log and report. (env NVIDIA_CLARA_LOGS, /logs)", rich_help_panel=_FILES
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        parser=path,
        help="config_inference.json. (env NVIDIA_CLARA_CONFIG_INFERENCE, the packaged lung config)",
        rich_help_panel=_FILES,
    ),
]
Triton = Annotated[
    str | None,
    typer.Option(
        "--triton",
        metavar="ADDRESS|local",
        help="Server: host:port, or https:// or grpcs:// and that; local: start one for this run. "
        "(env NVIDIA_CLARA_TRTISURI, the config, localhost:8000)",
        rich_help_panel=_SERVER,
    ),
]
Models = Annotated[
    Path | None,
    typer.Option(
        "--models",
        parser=path,
        help="Model repository on this machine; default: the packaged one.",
        rich_help_panel=_SERVER,
    ),
]
Control = Annotated[
    ControlChoice | None,
    typer.Option("--control", help="Protocol of the requests; default auto.", rich_help_panel=_SERVER),
]
Data = Annotated[
    DataChoice | None,
    typer.Option("--data", help="How voxels travel; default auto: the first that works.", rich_help_panel=_SERVER),
]
Require = Annotated[
    RequireChoice | None,
    typer.Option("--require", help="Fail rather than use another way for the voxels.", rich_help_panel=_SERVER),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        parser=path,
        help="Authorities that may sign the server's certificate, PEM. (env GPU_INFER_TLS_CA, the system's)",
        rich_help_panel=_SERVER,
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        parser=path,
        help="The client's own certificate, PEM. (env GPU_INFER_TLS_CERT)",
        rich_help_panel=_SERVER,
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", parser=path, help="Its key, PEM, no password. (env GPU_INFER_TLS_KEY)", rich_help_panel=_SERVER
    ),
]
Headers = Annotated[
    Path | None,
    typer.Option(
        "--headers",
        parser=path,
        metavar="FILE",
        help='Headers for the server, one "Name: value" a line. (env GPU_INFER_TRITON_HEADERS_FILE, …_HEADERS)',
        rich_help_panel=_SERVER,
    ),
]
Load = Annotated[
    bool | None,
    typer.Option("--load", help="Have a server with explicit model control load the model.", rich_help_panel=_SERVER),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        help="Seconds to wait for the server, also after a lost connection; default 600.",
        rich_help_panel=_SERVER,
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline", help="Seconds for one request; default 300.", rich_help_panel=_SERVER),
]
Device = Annotated[
    DeviceChoice | None,
    typer.Option("--device", help="Where volumes are prepared and blended; default auto.", rich_help_panel=_MODEL),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode", help="Window mode: clara, monai or nnunet; default: the config's, then clara.", rich_help_panel=_MODEL
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Model name; default: the config's.", rich_help_panel=_MODEL),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", help="Windows per request; default: the model's maximum.", rich_help_panel=_MODEL),
]
Slots = Annotated[
    int | None,
    typer.Option("--slots", help="Requests in flight; default 2.", rich_help_panel=_MODEL),
]
Slab = Annotated[
    bool | None,
    typer.Option("--slab/--no-slab", help="Rolling accumulator; default on.", rich_help_panel=_MODEL),
]
Roi = Annotated[
    str | None,
    typer.Option("--roi", metavar="X,Y,Z", help="Window size where the model leaves it open.", rich_help_panel=_MODEL),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log more, and show the traceback of an error.")]
