"""The settings of one run, from environment variables and options.

The environment variables are those of the Clara Deploy Base Inference Operator V2, and the later Triton names
(docs/environment.md). An option of the command line overrides its variable. A variable that is set but empty counts as
unset, except NVIDIA_CLARA_PUBLISHING, where empty means: publish nothing. The container's entry point has defaults of
its own for folders (`gpu_infer.cli.container`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, ErrorDetails

from gpu_infer.backends.cpu.numba_variables import check_numba_variables
from gpu_infer.choices import (
    MOST_SLOTS,
    Control,
    Data,
    Device,
    DicomSeg,
    Format,
    Mode,
    PublishDialect,
    Require,
    ScoresActivation,
    ScoresDtype,
    ScoresFormat,
    Tilt,
)
from gpu_infer.config.document import in_folder
from gpu_infer.config.expected import expectation
from gpu_infer.environment import DEFAULT_DEBUG_HOST
from gpu_infer.errors import ConfigError
from gpu_infer.settings_sources import environment_values, option_name, packaged_config, read_roi_size, server_values
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.access_environment import ACCESS_OPTIONS
from gpu_infer.triton.model.name import check_model_name
from gpu_infer.volume.case_name import check_pattern
from gpu_infer.volume.series_rules import series_of_option
from gpu_infer.writers.output_target import resolve_output

DEFAULT_TRITON = "localhost:8000"
"""Address of Triton if neither an option, nor the environment, nor the configuration names one."""

CONNECT_WAIT_S = 5.0
"""Seconds to wait for a server that answers, if `wait_s` is not set: a person at a terminal has not started one."""

READY_WAIT_S = 600.0
"""Seconds to wait for a model that is being loaded, and after a lost connection, if `wait_s` is not set."""

_PATHS = ("input", "output", "logs", "publish", "config", "labels", "local_models", "dicom_reference")

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


def _series(value: str) -> str:
    series_of_option(value)
    return value


def _pattern(value: str) -> str:
    check_pattern(value)
    return value


SeriesText = Annotated[str, AfterValidator(_series)]
NamePattern = Annotated[str, AfterValidator(_pattern)]
Slots = Annotated[int, Field(ge=1, le=MOST_SLOTS)]
BatchSize = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ModelName = Annotated[str, AfterValidator(_model_name)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Settings:
    """The settings of one run; values that cannot be meant raise ConfigError with the option or variable.

    input            file or folder; a folder has one volume, or a DICOM study
    first            take the first of several volumes in a folder by name, False: refuse the folder
    output           folder for the label maps, created if missing; or the file of the label map, of which folder, name
                     and format are taken
    output_name      name of the label maps' files without extension, None: that of the input
    formats          of the label maps, empty: those of the configuration
    logs             folder for gpu_infer.log and report.json, by default `output`; created if missing
    config           config_inference.json, or a folder with it; by default the packaged one
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
    preview          write a picture of three planes with contours next to the label map
    plain_preview    write the preview, and a second one without contours
    page             write index.html into the publish folder; None: if something is published and the viewer is there
    dicom_seg, dicom_sc, dicom_sr, rtstruct
                     write a SEG (of which kind), secondary captures, an SR, an RTSTRUCT; None or False: do not
    dicom_reference  folder of the series to which they belong, None: the input is the series
    send             AETITLE@HOST:PORT or http(s)://… to which they are sent, None: send nothing
    scores           labels whose probabilities are written: "all", or numbers and names with commas between them
    uncertainty      write the entropy of the probabilities
    scores_format, scores_dtype, scores_activation
                     of those maps; None: nii.gz, uint8, the scores have to be probabilities
    statistics       measure every label, for the report and <name>.statistics.csv
    allow_foreign_data_files
                     allow data files outside the header's folder that the input's header names
    load_model       ask a server with explicit model control to load the model, unless it is ready
    access           certificates and headers of connections to Triton
    series           number, UID or rule of the series of a DICOM study, None: the rules of the configuration
    series_files     files of a DICOM series in the folder `input`, which has others; empty: all files count
    channels         files of the channels of one volume in order, `input` first; empty: `input` has all of them
    tilt             "index": tilted or unevenly spaced slices of a DICOM series are segmented in index space
    name             pattern of the case's name, from which outputs are named; None: the name of the input
    with_identity    allow values that identify the patient in the report
    debug_port       TCP port on which to wait for a debugger before the run, at most `ready_wait_s`; None: none
    debug_host       address of this machine on which that port is open
    warnings         lines about these settings for the log and the report
    """

    input: Path
    output: Path
    logs: Path = Path()  # replaced by `output` if it is not given
    config: Path = field(default_factory=lambda: packaged_config())
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
    plain_preview: bool = False
    output_name: str | None = None
    formats: tuple[Format, ...] = ()
    page: bool | None = None
    dicom_seg: DicomSeg | None = None
    dicom_sc: bool = False
    dicom_sr: bool = False
    rtstruct: bool = False
    dicom_reference: Path | None = None
    send: str | None = None
    scores: str | None = None
    uncertainty: bool = False
    scores_format: ScoresFormat | None = None
    scores_dtype: ScoresDtype | None = None
    scores_activation: ScoresActivation | None = None
    statistics: bool = False
    allow_foreign_data_files: bool = False
    first: bool = False
    load_model: bool = False
    access: Access = field(default_factory=Access)
    series: SeriesText | None = None
    tilt: Tilt = "refuse"
    name: NamePattern | None = None
    with_identity: bool = False
    debug_port: int | None = None
    debug_host: str = DEFAULT_DEBUG_HOST
    warnings: tuple[str, ...] = ()
    channels: tuple[Path, ...] = ()
    series_files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name, value in resolve_output(self.output, self.logs, self.output_name, self.formats).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "config", in_folder(self.config))
        if self.channels and self.channels[0] != self.input:
            raise ConfigError(
                f"channels: found {self.channels[0]} first, expected the input {self.input}",
                remedy="give the file of the first channel as input",
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
            value = details["input"] if name == "formats" and len(details["loc"]) > 1 else values[name]
            raise _refusal(name, value, details) from None

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
        values = environment_values(environ)
        check_numba_variables(environ)
        for name in ("input", "output", "logs", "config", "labels", "dicom_reference", "send"):
            if name in options and not str(options[name]).strip():
                raise ConfigError(f"{option_name(name)}: found an empty path", remedy="give a path, or leave it out")
        triton, models = options.pop("triton", None), options.pop("models", None)
        files = {name: options.pop(name) for name in ACCESS_OPTIONS if name in options}
        values |= server_values(environ, triton, models, files) | options
        for name in ("logs", "config"):
            if not values[name]:
                del values[name]
        if isinstance(values.get("roi_size"), str):
            values["roi_size"] = read_roi_size(values["roi_size"])
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
        near = difflib.get_close_matches(str(value), choices.split(", "), n=1)
        expected, remedy = (
            f"expected one of {choices}",
            f"did you mean {near[0]}?" if near else "leave it out for the default",
        )
    return ConfigError(f"{option_name(name)}: found {text}, {expected}", remedy=remedy)
