"""Where the values of `Settings` are from: environment variables, options of the server, the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_infer.environment import DEBUG_VARIABLES, DEFAULT_DEBUG_HOST, debug_port, environment_value
from gpu_infer.errors import ConfigError
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.client.access_environment import access_from_environment
from gpu_infer.triton.client.endpoints import parse_uri

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
    "format": "formats",
}
"""Options whose field of `Settings` has another name."""

_EITHER_VARIABLES = ("NVIDIA_CLARA_TRTISURI", "CLARA_TRITON_URI")


def option_name(name: str) -> str:
    """The option or variable of a field."""
    if name in DEBUG_VARIABLES:
        return DEBUG_VARIABLES[name]
    options = {field: option for option, field in OPTION_FIELDS.items()}
    return "--" + options.get(name, name).replace("_", "-")


def environment_values(environ: Mapping[str, str]) -> dict[str, Any]:
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


def server_values(
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
            f"{option_name(next(iter(files)))} contradicts --triton local", remedy="a local server needs no credentials"
        )
    repository = Path(models or _packaged("models"))
    if not repository.is_dir():
        raise no_repository(repository)
    return {"local_models": repository}


def no_repository(path: Path) -> ConfigError:
    """The error of a --models that names a file, as of a model alone, or nothing."""
    if path.exists():
        return ConfigError(
            f"--models: {path} is a file, expected a folder with one folder per model",
            remedy=f"gpu-infer models add NAME --onnx {path} makes the folder models, to give here"
            if path.suffix == ".onnx"
            else "put it into REPOSITORY/NAME/1/, with NAME/config.pbtxt, and give REPOSITORY: docs/quick-start.md "
            "shows how",
        )
    return ConfigError(
        f"--models: no folder {path}",
        remedy="give the model repository, the folder that holds one folder per model",
    )


def _packaged(name: str) -> Path:
    try:
        return resource_folder(name)
    except FileNotFoundError as error:
        raise ConfigError(str(error), remedy="install gpu-infer again") from error


def packaged_config() -> Path:
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
        if not option.strip():
            raise ConfigError(
                "--triton: found an empty address, expected HOST:PORT or local",
                remedy="leave it out for the address of the environment or the configuration",
            )
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


def read_roi_size(text: str) -> tuple[int, ...]:
    parts = re.split(r"[,x\s]+", text.strip().strip("[]()"))
    if len(parts) != 3 or not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise ConfigError(
            f"--roi: found {text!r}, expected 3 positive integers",
            remedy="write for example --roi 320,320,64",
        )
    return tuple(int(part) for part in parts)
