"""The command line of tritonserver: the model repositories that it may get, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.triton.local.ports import ADDRESS


def check_repository(folder: Path) -> Path:
    """The absolute path of a model repository; ConfigError unless it is a folder with a model folder in it."""
    path = Path(folder).resolve()
    if not path.is_dir():
        fault = "is a file, expected a folder with one folder per model" if path.exists() else "is not a folder"
        remedy = "give a folder that holds model folders"
        if path.is_file() and path.suffix == ".onnx":
            remedy = f"gpu-infer models add NAME --onnx {folder} makes the folder models, to give here"
        raise ConfigError(f"model repository {folder} {fault}", remedy=remedy)
    if (path / "config.pbtxt").is_file():
        raise ConfigError(f"{folder} is a model, not a model repository", remedy=f"give its parent, {path.parent}")
    if not any(entry.is_dir() for entry in path.iterdir()):
        file = next(iter(sorted(path.glob("*.onnx"))), None)
        raise ConfigError(
            f"model repository {folder} holds no model folder",
            remedy=f"gpu-infer models add NAME --onnx {file} --models {folder} makes one"
            if file is not None
            else "expected NAME/config.pbtxt and NAME/1/…",
        )
    return path


def server_options(
    repositories: Sequence[Path], backends: Path, http_port: int, grpc_port: int, *, names: Sequence[str] = ()
) -> list[str]:
    """Options for a server on the loopback address that loads the models `names`, or all of the repositories."""
    return [
        *(f"--model-repository={folder}" for folder in repositories),
        f"--backend-directory={backends}",
        f"--http-address={ADDRESS}",
        f"--http-port={http_port}",
        f"--grpc-address={ADDRESS}",
        f"--grpc-port={grpc_port}",
        "--reuse-http-port=false",
        "--reuse-grpc-port=false",
        f"--model-control-mode={'explicit' if names else 'none'}",
        *(f"--load-model={name}" for name in names),
        "--exit-timeout-secs=5",
        "--allow-metrics=false",
    ]
