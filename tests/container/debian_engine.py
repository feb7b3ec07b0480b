"""A container engine without Docker, for start scripts: images are root folders, and Triton is the local one.

A `docker_client` sends each call of `docker` to the engine, which runs as root, as a daemon does. The network is the
host's: a container of Triton has a loopback address of its own, and the names of a network are lines of /etc/hosts.
An operator runs in the root of its image, with a layer in memory over it. What is not understood is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from docker_arguments import Refusal, build_arguments, run_arguments
from enter_root import Entry, command_line
from images import Builder, BuildError, Image
from triton_container import HTTP_PORT, IMAGE, TritonContainer

from gpu_infer.errors import GpuInferError

REFUSED = 125  # Docker's own exit code
_ADDRESS_FORMAT = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
_RUNNING_FORMAT = "{{.State.Running}}"


@dataclass(frozen=True)
class Call:
    """A call of the client, and its file descriptors."""

    arguments: list[str]
    folder: str
    env: dict[str, str]
    stdout: int
    stderr: int

    def write(self, text: str) -> None:
        os.write(self.stdout, f"{text}\n".encode())


class Engine:
    """Answers at `socket_path` while it is entered.

    folder  for the roots of images
    base    image that stands for the public ones of Debian and NVIDIA
    """

    def __init__(self, folder: Path, base: Image) -> None:
        self._folder, self._base = folder, base
        self._builder = Builder(folder, lambda _: None)
        self._images: dict[str, Image] = {}
        self._networks: set[str] = set()
        self._containers: dict[str, TritonContainer] = {}
        self._started = 0
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._place = tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp")  # a socket's path has 107 bytes
        self.socket_path = f"{self._place.name}/engine.sock"

    def __enter__(self) -> Self:
        self._listener.bind(self.socket_path)
        Path(self._place.name).chmod(0o755)
        Path(self.socket_path).chmod(0o777)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for container in self._containers.values():
            container.stop()
        self._place.cleanup()

    # -- calls ---------------------------------------------------------------------------------------------
    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            _, (stdout, stderr), _, _ = socket.recv_fds(connection, 1, 2)
            text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            call = Call(**json.loads(text), stdout=stdout, stderr=stderr)
            code = REFUSED
            try:
                code = self._answer(call)
            except (Refusal, BuildError, GpuInferError, OSError, ValueError) as error:
                os.write(stderr, f"docker: {error}\n".encode())
            finally:
                os.close(stdout)
                os.close(stderr)
            connection.sendall(bytes([code]))

    def _answer(self, call: Call) -> int:
        if call.arguments[:1] == ["run"]:
            return self._run(call, run_arguments(call.arguments[1:]))
        with self._lock:
            match call.arguments:
                case ["build", *arguments]:
                    self._build(Path(call.folder), build_arguments(arguments))
                case ["tag", name, other]:
                    self._images[_with_tag(other)] = self._image(name)
                case ["images"]:
                    call.write("\n".join(sorted(self._images)))
                case ["network", "create", name]:
                    self._create_network(name)
                case ["network", "rm" | "remove", name]:
                    self._remove_network(name)
                case ["network", "inspect", name]:
                    return 0 if name in self._networks else 1
                case ["inspect", "-f" | "--format", text, name]:
                    call.write(self._inspect(text, name))
                case ["port", name, "8000/tcp"]:
                    call.write(self._port(name))
                case ["logs", "--tail", _, name]:
                    call.write(self._container(name).error)
                case ["stop" | "kill", name]:
                    self._stop(name)
                case ["rm", "--force", *names]:
                    for name in set(names) & self._containers.keys():
                        self._containers.pop(name).stop()
                case _:
                    raise Refusal(f"{' '.join(call.arguments)}: not understood")
        return 0

    # -- images and networks -------------------------------------------------------------------------------
    def _build(self, folder: Path, options: argparse.Namespace) -> None:
        context = folder / options.context
        path = folder / options.file if options.file else context / "Dockerfile"
        image = self._builder.build(path, context, options.values, self._base_image)
        self._images[_with_tag(options.tag)] = image

    def _base_image(self, name: str) -> Image:
        return self._base if name.startswith(("debian:", "nvidia/cuda:")) else self._image(name)

    def _image(self, name: str) -> Image:
        if _with_tag(name) not in self._images:
            raise Refusal(f"No such image: {_with_tag(name)}")
        return self._images[_with_tag(name)]

    def _create_network(self, name: str) -> None:
        if name in self._networks:
            raise Refusal(f"network with name {name} already exists")
        self._networks.add(name)

    def _remove_network(self, name: str) -> None:
        if name not in self._networks:
            raise Refusal(f"network {name} not found")
        if any(container.network == name for container in self._containers.values()):
            raise Refusal(f"network {name} has active endpoints")
        self._networks.remove(name)

    # -- containers ----------------------------------------------------------------------------------------
    def _container(self, name: str) -> TritonContainer:
        if name not in self._containers:
            raise Refusal(f"No such container: {name}")
        return self._containers[name]

    def _inspect(self, text: str, name: str) -> str:
        container = self._container(name)
        if text == _ADDRESS_FORMAT:
            return container.address
        if text == _RUNNING_FORMAT:
            return "false" if container.error else "true"
        raise Refusal(f"format {text}: not understood")

    def _port(self, name: str) -> str:
        """The container's own address, which this host reaches; Docker would print the published one."""
        container = self._container(name)
        if not container.published:
            raise Refusal(f"no public port 8000/tcp published for {name}")
        return f"{container.address}:{HTTP_PORT}"

    def _stop(self, name: str) -> None:
        container = self._container(name)
        container.stop()
        if container.removed_at_end:
            del self._containers[name]

    def _run(self, call: Call, options: argparse.Namespace) -> int:
        if options.network and options.network not in self._networks:
            raise Refusal(f"network {options.network} not found")
        if options.image != IMAGE:
            return self._run_operator(call, options)
        with self._lock:
            if not options.detach or not options.name or options.name in self._containers:
                raise Refusal("Triton needs --detach and a --name that is free")
            self._started += 1
            self._containers[options.name] = TritonContainer(options, self._started)
        call.write(options.name)
        return 0

    def _run_operator(self, call: Call, options: argparse.Namespace) -> int:
        if options.detach or options.publish or options.network_alias:
            raise Refusal("--detach, --publish and --network-alias are for Triton alone here")
        image = self._image(options.image)
        for source, _, _ in options.binds:  # as Docker does, for root
            Path(source).mkdir(parents=True, exist_ok=True)
        user = options.user or image.user
        env = image.env | {"HOME": "/root" if user.split(":")[0] == "0" else "/"}
        env |= dict(text.split("=", 1) if "=" in text else (text, call.env.get(text, "")) for text in options.env)
        entrypoint = [options.entrypoint] if options.entrypoint else list(image.entrypoint)
        with tempfile.TemporaryDirectory(dir=self._folder) as mount:
            entry = Entry(
                str(image.root),
                mount,
                [*entrypoint, *options.command],
                env,
                image.workdir,
                user,
                binds=options.binds,
                memory=options.tmpfs,
                shared=options.ipc == "host",
                hosts=self._hosts(options.network),
                read_only=options.read_only,
            )
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": call.stdout, "stderr": call.stderr}
            return subprocess.run(command_line(entry), **streams, check=False).returncode

    def _hosts(self, network: str) -> list[str]:
        """Lines of /etc/hosts: the names and aliases of a network's containers."""
        lines = ["127.0.0.1 localhost"]
        with self._lock:
            for name, container in self._containers.items():
                if container.network == network:
                    lines.append(" ".join([container.address, name, *container.aliases]))
        return lines


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
