"""The settings of one run, from environment variables and options.

The environment variables are those of the Clara Deploy Base Inference Operator V2, and the later Triton names
(docs/environment.md). An option of the command line overrides its variable. A variable that is set but empty counts as
unset, except NVIDIA_CLARA_PUBLISHING, where empty means: publish nothing. The container's entry point has defaults of
its own for folders (`gpu_infer.cli.container`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, ErrorDetails

from gpu_infer.choices import MOST_SLOTS, Control, Data, Device, Mode, PublishDialect, Require
from gpu_infer.config.expected import expectation
from gpu_infer.environment import DEBUG_VARIABLES, DEFAULT_DEBUG_HOST, check_threads, debug_port, environment_value
from gpu_infer.errors import ConfigError
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.access_environment import ACCESS_OPTIONS, access_from_environment
from gpu_infer.triton.client.endpoints import parse_uri
from gpu_infer.triton.model.name import check_model_name
from gpu_infer.volume.input_files import extension

DEFAULT_TRITON = "localhost:8000"
"""Address of Triton if neither an option, nor the environment, nor the configuration names one."""

CONNECT_WAIT_S = 5.0
"""Seconds to wait for a server that answers, if `wait_s` is not set: a person at a terminal has not started one."""

READY_WAIT_S = 600.0
"""Seconds to wait for a model that is being loaded, and after a lost connection, if `wait_s` is not set."""

FOLDER_VARIABLES = {
    "input": "NVIDIA_CLARA_INPUT",
    "output": "NVIDIA_CLARA_OUTPUT",
    "publish": "NVIDIA_CLARA_PUBLISHING",
    "logs": "NVIDIA_CLARA_LOGS",
}
"""Environment variables of the folders, by field of `Settings`."""

OPTION_FIELDS = {
    "load": "load_model",
    "wait": "wait_s",
    "deadline": "deadline_s",
    "model": "model_name",
    "roi": "roi_size",
}
"""Options whose field of `Settings` has another name."""

_EITHER_VARIABLES = ("NVIDIA_CLARA_TRTISURI", "CLARA_TRITON_URI")
_PATHS = ("input", "output", "logs", "publish", "config", "labels", "local_models")

_WRONG_CALLS = ("unexpected_keyword_argument", "multiple_argument_values")
"""Types of pydantic's errors that a plain function reports as TypeError."""

_EXPECTED_OF = {
    "wait_s": "a positive number of seconds",
    "deadline_s": "a positive number of seconds",
    "roi_size": "3 positive integers",
}
"""Fields for which one description covers every error."""

_WAITS_END = "every wait has an end: give a large number instead of none"
_REMEDIES = {
    "slots": "2 keep the server busy",
    "batch_size": "leave it out to use the model's own maximum",
    "wait_s": _WAITS_END,
    "deadline_s": _WAITS_END,
    "roi_size": "write for example --roi 320,320,64",
}


def _model_name(value: str) -> str:
    check_model_name(value)
    return value


Slots = Annotated[int, Field(ge=1, le=MOST_SLOTS)]
BatchSize = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ModelName = Annotated[str, AfterValidator(_model_name)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Settings:
    """The settings of one run; values that cannot be meant raise ConfigError with the option or variable.

    input            file or folder; a folder is searched for the first supported volume
    output           folder for the label maps; created if missing
    logs             folder for gpu_infer.log and report.json, by default `output`; created if missing
    config           config_inference.json, by default the packaged one
    labels           file with the names of the labels, None: those of the configuration
    publish          folder for a renderer, None: publish nothing
    triton_http, triton_grpc
                     host:port that the user named for one protocol
    triton_either    host:port of a server for either protocol; if all three are None: the ip and port of the
                     configuration, then `DEFAULT_TRITON`
    local_models     model repository that a local Triton serves for this run, None: use a running server
    require          data transport that must work, None: use the next one if one does not work, with a log line
    mode, model_name, batch_size, slots, roi_size
                     override the configuration
    wait_s           seconds to wait for the server and the model, also after a lost connection; None: `CONNECT_WAIT_S`
                     for the first answer of the server, `READY_WAIT_S` otherwise
    server_first     wait for the server before the input is opened, which is the order of the container; False: check
                     the header of the input first, so that a mistake in it is reported without a server
    deadline_s       seconds for one request
    preview          write preview.png next to the label map
    statistics       measure every label, for the report and <name>.statistics.csv
    allow_foreign_data_files
                     allow data files outside the header's folder that the input's header names
    load_model       ask a server with explicit model control to load the model, unless it is ready
    access           certificates and headers of connections to Triton
    debug_port       TCP port on which to wait for a debugger before the run, at most `ready_wait_s`; None: none
    debug_host       address of this machine on which that port is open
    warnings         lines about these settings for the log and the report
    """

    input: Path
    output: Path
    logs: Path = Path()  # replaced by `output` if it is not given
    config: Path = field(default_factory=lambda: _packaged_config())
    labels: Path | None = None
    publish: Path | None = None
    triton_http: str | None = None
    triton_grpc: str | None = None
    triton_either: str | None = None
    local_models: Path | None = None
    control: Control = "auto"
    data: Data = "auto"
    require: Require | None = None
    device: Device = "auto"
    mode: Mode | None = None
    model_name: ModelName | None = None
    batch_size: BatchSize | None = None
    slots: Slots | None = None
    slab: bool = True
    roi_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    wait_s: Seconds | None = None
    server_first: bool = False
    deadline_s: Seconds = 300.0
    publish_dialect: PublishDialect = "v1"
    preview: bool = False
    statistics: bool = False
    allow_foreign_data_files: bool = False
    load_model: bool = False
    access: Access = field(default_factory=Access)
    debug_port: int | None = None
    debug_host: str = DEFAULT_DEBUG_HOST
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ending = extension(self.output)
        if ending is not None and not self.output.is_dir():
            raise ConfigError(
                f"--output: found {str(self.output)!r}, a file name that ends with {ending}, expected a folder",
                remedy="give a folder, for example --output out: the label map gets the name of the input and is a "
                ".mhd with a .raw",
            )
        if self.require is not None and self.data not in ("auto", self.require):
            raise ConfigError(
                f"--require {self.require} contradicts --data {self.data}",
                remedy="leave one of the two out",
            )

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_one_line(cls, arguments: object, check: Any) -> Any:
        given = _by_name(cls, arguments)
        if isinstance(arguments, ArgsKwargs) and "logs" not in given and "output" in given:
            arguments = ArgsKwargs(arguments.args, {**(arguments.kwargs or {}), "logs": given["output"]})
        try:
            return check(arguments)
        except ValidationError as error:
            details = error.errors()[0]
            name, values = str(details["loc"][0]), _by_name(cls, arguments)
            if name not in values or details["type"] in _WRONG_CALLS:
                raise TypeError(f"Settings: {details['msg'].lower()}: {name}") from None
            raise _refusal(name, values[name], details) from None

    @property
    def explicit_triton(self) -> bool:
        """Whether an option or variable names a server; `ip` and `port` of the config do not count then."""
        return any((self.triton_http, self.triton_grpc, self.triton_either))

    @property
    def connect_wait_s(self) -> float:
        """Seconds to wait for the first answer of a server at an address."""
        return CONNECT_WAIT_S if self.wait_s is None else self.wait_s

    @property
    def ready_wait_s(self) -> float:
        """Seconds to wait for the model of a server that answers, and after a lost connection."""
        return READY_WAIT_S if self.wait_s is None else self.wait_s

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """Read the settings from environment variables and options.

        Args:
            environ: the environment variables. Without variable and override, `input` is /input, `output` is /output,
                `logs` is the output folder, and nothing is published.
            overrides: the options, which override their variables; None: not given. They are the fields of this class
                and `triton` ("HOST:PORT", which replaces every address of the environment, or "local"), `models` (the
                repository for "local", default the packaged one) and the files of `access`: `tls_ca`, `tls_cert`,
                `tls_key`, `headers`. Paths may be strings; `publish=""` publishes nothing; `roi_size` may be
                "320,320,64".

        Raises:
            ConfigError: a value cannot be used; the message names the variable or option.
            TypeError: an override is unknown.
        """
        options = {name: value for name, value in overrides.items() if value is not None}
        unknown = set(options) - {f.name for f in fields(cls)} - {"triton", "models", *ACCESS_OPTIONS}
        if unknown:
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")
        values = _environment(environ)
        check_threads(environ)
        for name in ("input", "output", "logs", "config", "labels"):
            if name in options and not str(options[name]).strip():
                raise ConfigError(f"{_option(name)}: found an empty path", remedy="give a path, or leave it out")
        triton, models = options.pop("triton", None), options.pop("models", None)
        files = {name: options.pop(name) for name in ACCESS_OPTIONS if name in options}
        values |= _server(environ, triton, models, files) | options
        for name in ("logs", "config"):
            if not values[name]:
                del values[name]
        if isinstance(values.get("roi_size"), str):
            values["roi_size"] = _roi(values["roi_size"])
        for name in _PATHS:
            if name in values:
                values[name] = Path(values[name]) if values[name] else None
        return cls(**values)


def _by_name(cls: type[Settings], arguments: object) -> dict[str, object]:
    """The constructor's arguments by the names of the fields."""
    if not isinstance(arguments, ArgsKwargs):
        return {}
    names = [f.name for f in fields(cls)]
    return {**dict(zip(names, arguments.args, strict=False)), **(arguments.kwargs or {})}


def _refusal(name: str, value: object, details: ErrorDetails) -> ConfigError:
    """One line for the first mistake in a field."""
    text, remedy = f"{value}", _REMEDIES.get(name)
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, float):
        text = f"{value:g}"
    expected = f"expected {_EXPECTED_OF[name]}" if name in _EXPECTED_OF else expectation(details)
    if details["type"] == "literal_error":
        choices = expected.removeprefix("expected ").replace(" or ", ", ")
        expected, remedy = f"expected one of {choices}", f"choose one of {choices}"
    return ConfigError(f"{_option(name)}: found {text}, {expected}", remedy=remedy)


def _option(name: str) -> str:
    """The option or variable of a field."""
    if name in DEBUG_VARIABLES:
        return DEBUG_VARIABLES[name]
    options = {field: option for option, field in OPTION_FIELDS.items()}
    return "--" + options.get(name, name).replace("_", "-")


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Folders, configuration and debugger."""
    return {
        "input": environment_value(environ, FOLDER_VARIABLES["input"]) or "/input",
        "output": environment_value(environ, FOLDER_VARIABLES["output"]) or "/output",
        "logs": environment_value(environ, FOLDER_VARIABLES["logs"]),
        "publish": environment_value(environ, FOLDER_VARIABLES["publish"]),
        "config": environment_value(environ, "NVIDIA_CLARA_CONFIG_INFERENCE"),
        "debug_port": debug_port(environ),
        "debug_host": environment_value(environ, DEBUG_VARIABLES["debug_host"]) or DEFAULT_DEBUG_HOST,
    }


def _server(
    environ: Mapping[str, str], triton: str | None, models: str | Path | None, files: Mapping[str, Any]
) -> dict[str, Any]:
    """Addresses and access of a running server, or the models of a local one; `files` are the options of `access`."""
    if triton != "local":
        access = access_from_environment(environ, **files)
        addresses = _addresses(environ, triton)
        if models is not None:
            raise ConfigError("--models needs --triton local", remedy="a server that runs already has its own models")
        return {"access": access, **addresses}
    if files:
        raise ConfigError(
            f"{_option(next(iter(files)))} contradicts --triton local", remedy="a local server needs no credentials"
        )
    repository = Path(models or _packaged("models"))
    if not repository.is_dir():
        raise ConfigError(
            f"--models: no folder {repository}",
            remedy="give the model repository, the folder that holds one folder per model",
        )
    return {"local_models": repository}


def _packaged(name: str) -> Path:
    try:
        return resource_folder(name)
    except FileNotFoundError as error:
        raise ConfigError(str(error), remedy="install gpu-infer again") from error


def _packaged_config() -> Path:
    return _packaged("config") / "config_inference.json"


def _address(source: str, text: str) -> str:
    """`text` if it is an address; the error names the variable or option `source`."""
    try:
        parse_uri(text)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}", remedy=error.remedy) from error
    return text


def _addresses(environ: Mapping[str, str], option: str | None) -> dict[str, Any]:
    """The three addresses, and a warning if two differ; an option replaces all addresses of the environment."""
    if option is not None:
        return {"triton_either": _address("--triton", option)}
    variables = {"triton_http": "NVIDIA_TRITON_HTTPURI", "triton_grpc": "NVIDIA_TRITON_GRPCURI"}
    addresses: dict[str, Any] = {
        field: _address(name, text) if (text := environment_value(environ, name)) else None
        for field, name in variables.items()
    }
    either = {name: _address(name, text) for name in _EITHER_VARIABLES if (text := environment_value(environ, name))}
    if len(set(either.values())) > 1:
        named = " and ".join(f"{name}={text}" for name, text in either.items())
        addresses["warnings"] = (f"{named} differ: the first one counts",)
    addresses["triton_either"] = next(iter(either.values()), None)
    return addresses


def _roi(text: str) -> tuple[int, ...]:
    parts = re.split(r"[,x\s]+", text.strip().strip("[]()"))
    if len(parts) != 3 or not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise ConfigError(
            f"--roi: found {text!r}, expected 3 positive integers",
            remedy="write for example --roi 320,320,64",
        )
    return tuple(int(part) for part in parts)
