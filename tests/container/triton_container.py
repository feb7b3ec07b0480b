"""A container of tritonserver, without one: a local Triton behind an address of its own."""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from cutting_proxy import CuttingProxy
from docker_arguments import Bind, Refusal

from gpu_infer.errors import GpuInferError
from gpu_infer.triton.local.serve import LocalServer

IMAGE = "registry.example/tritonserver:26.05-py3"
HTTP_PORT, GRPC_PORT = 8000, 8001

# Of a stock image: the local server always has these properties.
_OPTIONS = ("--model-config-name=", "--allow-client-shm=", "--allow-metrics=")


class TritonContainer:
    """Serves the models that `docker run` mounts; ports 8000 and 8001 of `address` forward to the server.

    The server starts in the background, like the one of a real container; `error` is its reason if it has ended.
    """

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        _check_command(options.command)
        self.network: str = options.network
        self.aliases: list[str] = options.network_alias
        self.published = bool(options.publish)
        self.removed_at_end: bool = options.rm
        self.address = _address(number)
        self.error = ""
        self._models = tempfile.TemporaryDirectory(prefix="models-")
        self._proxies: list[CuttingProxy] = []
        _link_models(Path(self._models.name), options.binds)
        self._server = LocalServer(Path(self._models.name))
        self._thread = threading.Thread(target=self._start, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._thread.join()
        for proxy in self._proxies:
            proxy.__exit__(None, None, None)
        self._server.stop()
        self._models.cleanup()

    def _start(self) -> None:
        try:
            self._server.start()
        except GpuInferError as error:
            self.error = str(error)
            return
        for port, address in ((GRPC_PORT, self._server.grpc), (HTTP_PORT, self._server.http)):
            self._proxies.append(CuttingProxy(address, listen=(self.address, port)))


def _check_command(command: list[str]) -> None:
    if command[:2] != ["tritonserver", "--model-repository=/models"]:
        raise Refusal(f"{' '.join(command)}: expected tritonserver --model-repository=/models")
    if unknown := [text for text in command[2:] if not text.startswith(_OPTIONS)]:
        raise Refusal(f"tritonserver: {' '.join(unknown)}: not understood")


def _link_models(repository: Path, binds: Iterable[Bind]) -> None:
    """Put a link to each model that is mounted at /models, or below it, into the repository."""
    for source, target, _ in binds:
        folder = Path(target)
        if folder == Path("/models"):
            for model in Path(source).iterdir():
                (repository / model.name).symlink_to(model)
        elif folder.parent == Path("/models"):
            (repository / folder.name).symlink_to(source)
        else:
            raise Refusal(f"--volume {source}:{target}: expected /models or a folder in it")


def _address(number: int) -> str:
    """A loopback address that no other process uses for its containers."""
    pid = os.getpid()
    return f"127.{16 + pid % 200}.{pid // 200 % 250}.{1 + number % 250}"
