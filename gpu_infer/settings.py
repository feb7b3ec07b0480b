"""Environment and options in one typed object.

The environment variables are those of the Clara Deploy Base Inference Operator V2, with the later Triton
names beside them (docs/environment.md). An option of the command line wins over its variable. A variable that
is set but empty counts as unset, except NVIDIA_CLARA_PUBLISHING, where empty means: publish nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from gpu_infer.choices import MOST_SLOTS, Control, Data, Device, Mode, PublishDialect, Require
from gpu_infer.errors import ConfigError
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.access_environment import ACCESS_OPTIONS, access_from_environment
from gpu_infer.triton.client.endpoints import parse_uri
from gpu_infer.triton.model.name import check_model_name

DEFAULT_TRITON = "localhost:8000"
"""Where Triton is looked for when neither an option, nor the environment, nor the configuration says."""

DEFAULT_DEBUG_PORT = 5678

DEFAULT_DEBUG_HOST = "127.0.0.1"
"""Whoever reaches a debugger's port runs code as this user: no other machine does, unless an address is given."""

_EITHER_VARIABLES = ("NVIDIA_CLARA_TRTISURI", "CLARA_TRITON_URI")
_CHOICES: dict[str, tuple[str, ...]] = {
    "control": get_args(Control),
    "data": get_args(Data),
    "require": get_args(Require),
    "device": get_args(Device),
    "mode": get_args(Mode),
    "publish_dialect": get_args(PublishDialect),
}
_PATHS = ("input", "output", "logs", "publish", "config", "local_models")


@dataclass(frozen=True)
class Settings:
    """What one run was asked to do.

    input            folder or file; a folder is searched for the first supported volume
    output, logs     folders; made where missing
    publish          folder for a renderer, None: publish nothing
    config           config_inference.json
    triton_http,     host:port that the user gave for one protocol;
    triton_grpc
    triton_either    host:port of a server whose protocol was not said; all three None: the configuration's ip
                     and port count, then `DEFAULT_TRITON`
    local_models     model repository that a Triton of our own serves for this run, None: use a running server
    require          data choice that must be reached, None: the ladder may go down, with a log line
    mode, model_name, batch_size, slots, roi_size
                     what the configuration says, unless set here
    wait_s           seconds to wait for the server to be ready
    deadline_s       seconds for one request
    preview          write preview.png beside the label map
    allow_foreign_data_files
                     data files that the input's header names may lie outside the header's folder
    load_model       have a server with explicit model control load the model, unless it is ready
    access           certificates and headers of connections to Triton
    debug_port       TCP port on which to wait for a debugger before running, at most `wait_s`; None: do not
    debug_host       address of this machine on which that port is open
    warnings         what the run logs and reports of these settings, one line each
    """

    input: Path
    output: Path
    logs: Path
    config: Path
    publish: Path | None = None
    triton_http: str | None = None
    triton_grpc: str | None = None
    triton_either: str | None = None
    local_models: Path | None = None
    control: Control = "auto"
    data: Data = "auto"
    require: Require | None = None
    device: Device = "auto"
    mode: str | None = None
    model_name: str | None = None
    batch_size: int | None = None
    slots: int | None = None
    slab: bool = True
    roi_size: tuple[int, int, int] | None = None
    wait_s: float = 600.0
    deadline_s: float = 300.0
    publish_dialect: PublishDialect = "v1"
    preview: bool = False
    allow_foreign_data_files: bool = False
    load_model: bool = False
    access: Access = field(default_factory=Access)
    debug_port: int | None = None
    debug_host: str = DEFAULT_DEBUG_HOST
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ConfigError(
                    f"{_option(name)}: found {value!r}, expected one of {', '.join(choices)}",
                    remedy=f"choose one of {', '.join(choices)}",
                )
        if self.require is not None and self.data not in ("auto", self.require):
            raise ConfigError(
                f"--require {self.require} contradicts --data {self.data}",
                remedy="leave one of the two out",
            )
        if self.slots is not None and self.slots < 1:
            raise ConfigError(f"--slots: found {self.slots}, expected at least 1", remedy="2 keep the server busy")
        if self.slots is not None and self.slots > MOST_SLOTS:
            raise ConfigError(
                f"--slots: found {self.slots}, expected at most {MOST_SLOTS}", remedy="2 keep the server busy"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(
                f"--batch-size: found {self.batch_size}, expected at least 1",
                remedy="leave it out to use the model's own maximum",
            )
        for name in ("wait_s", "deadline_s"):
            seconds = getattr(self, name)
            if not 0 < seconds < float("inf"):
                raise ConfigError(
                    f"{_option(name)}: found {seconds:g}, expected a positive number of seconds",
                    remedy="every wait has an end: give a large number instead of none",
                )
        if self.model_name is not None:
            check_model_name(self.model_name)
        if self.roi_size is not None and (len(self.roi_size) != 3 or min(self.roi_size) < 1):
            raise ConfigError(
                f"--roi: found {self.roi_size}, expected 3 positive integers",
                remedy="write for example --roi 320,320,64",
            )

    @property
    def explicit_triton(self) -> bool:
        """Whether an option or variable names a server; `ip` and `port` of the config do not count then."""
        return any((self.triton_http, self.triton_grpc, self.triton_either))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """Settings of `environ`, with every override that is not None put on top.

        Overrides are the fields of this class and some more: `triton` ("HOST:PORT", which replaces every
        address of the environment, or "local"), `models` (the repository for "local", default: the packaged
        one) and the files of `access`: `tls_ca`, `tls_cert`, `tls_key`, `headers`. Paths may be strings;
        `publish=""` publishes nothing; `roi_size` may be "320,320,64".

        Raises ConfigError naming the variable or option.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        unknown = set(given) - {f.name for f in fields(cls)} - {"triton", "models", *ACCESS_OPTIONS}
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")

        values: dict[str, Any] = {
            "input": _value(environ, "NVIDIA_CLARA_INPUT") or "/input",
            "output": _value(environ, "NVIDIA_CLARA_OUTPUT") or "/output",
            "logs": _value(environ, "NVIDIA_CLARA_LOGS") or "/logs",
            "publish": environ.get("NVIDIA_CLARA_PUBLISHING", "/publish").strip(),
            "config": _value(environ, "NVIDIA_CLARA_CONFIG_INFERENCE"),
            "debug_port": _debug_port(environ),
            "debug_host": _value(environ, "DEBUG_VSCODE_HOST") or DEFAULT_DEBUG_HOST,
        }
        _check_threads(environ)
        for name in ("input", "output", "logs", "config"):
            if name in given and not str(given[name]).strip():
                raise ConfigError(f"{_option(name)}: found an empty path", remedy="give a path, or leave it out")
        triton, models = given.pop("triton", None), given.pop("models", None)
        files = {name: given.pop(name) for name in ACCESS_OPTIONS if name in given}
        if triton == "local" and files:
            raise ConfigError(
                f"{_option(next(iter(files)))} contradicts --triton local", remedy="a local server needs no credentials"
            )
        if triton != "local":
            values["access"] = access_from_environment(environ, **files)
        values |= _triton(environ, triton) | given
        if triton == "local":
            repository = Path(models or _packaged("models"))
            values["local_models"] = repository
            if not repository.is_dir():
                raise ConfigError(
                    f"--models: no folder {repository}",
                    remedy="give the model repository, the folder that holds one folder per model",
                )
        elif models is not None:
            raise ConfigError("--models needs --triton local", remedy="a server that runs already has its own models")
        if not values["config"]:
            values["config"] = _packaged("config") / "config_inference.json"
        if isinstance(values.get("roi_size"), str):
            values["roi_size"] = _roi(values["roi_size"])
        for name in _PATHS:
            value = values.get(name)
            values[name] = Path(value) if value else None
        return cls(**values)


def _option(field: str) -> str:
    names = {"wait_s": "wait", "deadline_s": "deadline", "roi_size": "roi", "model_name": "model"}
    return "--" + names.get(field, field).replace("_", "-")


def _value(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None


def _packaged(name: str) -> Path:
    try:
        return resource_folder(name)
    except FileNotFoundError as error:
        raise ConfigError(str(error), remedy="install gpu-infer again") from error


def _address(source: str, text: str) -> str:
    """`text` itself when it reads host:port; the error names the variable or option it came from."""
    try:
        parse_uri(text)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}", remedy=error.remedy) from error
    return text


def _triton(environ: Mapping[str, str], option: str | None) -> dict[str, Any]:
    """The three addresses, and a warning of two that differ; an option replaces whatever the environment says."""
    if option == "local":
        return {}
    if option is not None:
        return {"triton_either": _address("--triton", option)}
    addresses = {
        "triton_http": "NVIDIA_TRITON_HTTPURI",
        "triton_grpc": "NVIDIA_TRITON_GRPCURI",
    }
    found: dict[str, Any] = {
        field: _address(name, text) if (text := _value(environ, name)) else None for field, name in addresses.items()
    }
    either = {name: _address(name, text) for name in _EITHER_VARIABLES if (text := _value(environ, name))}
    if len(set(either.values())) > 1:
        named = " and ".join(f"{name}={text}" for name, text in either.items())
        found["warnings"] = (f"{named} differ: the first one counts",)
    found["triton_either"] = next(iter(either.values()), None)
    return found


def _roi(text: str) -> tuple[int, ...]:
    parts = re.split(r"[,x\s]+", text.strip().strip("[]()"))
    if len(parts) != 3 or not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise ConfigError(
            f"--roi: found {text!r}, expected 3 positive integers",
            remedy="write for example --roi 320,320,64",
        )
    return tuple(int(part) for part in parts)


def _check_threads(environ: Mapping[str, str]) -> None:
    """ConfigError for a number of threads that Numba refuses when it is imported."""
    text = _value(environ, "NUMBA_NUM_THREADS")
    if text is not None and not re.fullmatch("0*[1-9][0-9]{0,4}", text):
        raise ConfigError(
            f"NUMBA_NUM_THREADS: found {text!r}, expected a whole number from 1 to 99999",
            remedy="leave it unset to use every CPU",
        )


def _debug_port(environ: Mapping[str, str]) -> int | None:
    wanted = (_value(environ, "DEBUG_VSCODE") or "false").lower()
    if wanted in ("0", "false", "no", "off"):
        return None
    if wanted not in ("1", "true", "yes", "on"):  # the port runs code: it opens for nothing else
        raise ConfigError(
            f"DEBUG_VSCODE: found {environ['DEBUG_VSCODE']!r}, expected TRUE, 1, FALSE or 0",
            remedy="leave it unset to run without a debugger",
        )
    text = _value(environ, "DEBUG_VSCODE_PORT") or str(DEFAULT_DEBUG_PORT)
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(
            f"DEBUG_VSCODE_PORT: found {text!r}, expected a port number",
            remedy=f"the usual one is {DEFAULT_DEBUG_PORT}",
        )
    return int(text)
