"""Builds images from Dockerfiles as root folders, without Docker. The roots of equal steps are built once."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import dockerfile
from debian_root import SYSTEM_PATH, debian_root, download_variables, take_along
from enter_root import Entry, command_line

Report = Callable[[str], None]


class BuildError(Exception):
    """An instruction failed; the message has the end of its output."""


@dataclass(frozen=True)
class Image:
    """A root folder, and what a container of it starts with. Equal keys mean equal roots."""

    key: str
    root: Path
    env: dict[str, str]
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    paths: list[Path]
    destination: str
    workdir: str

    def digest(self) -> str:
        sums = hashlib.sha256(f"COPY {self.destination} {self.workdir}".encode())
        for path in self.paths:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in (f for f in files if f.is_file() and "__pycache__" not in f.parts):
                sums.update(f"{path.name} {file.relative_to(path)} ".encode() + file.read_bytes())
        return sums.hexdigest()


@dataclass(frozen=True)
class Run:
    line: int
    text: str
    env: dict[str, str]
    workdir: str
    user: str

    def digest(self) -> str:
        return repr((self.text, sorted(self.env.items()), self.workdir, self.user))


def debian_image(folder: Path) -> Image:
    """The image that stands for the base images of both variants. Raises RuntimeError if it cannot be made."""
    return Image("debian", debian_root(folder), {"PATH": SYSTEM_PATH})


class Builder:
    """Builds below `folder`, and finds there what was built before."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder, self.report = folder, report

    def build(
        self, path: Path, context: Path, arguments: Mapping[str, str], find_image: Callable[[str], Image]
    ) -> Image:
        """The image of a Dockerfile's last stage. Raises BuildError, ValueError or FileNotFoundError."""
        built: dict[str, Image] = {}
        for stage in dockerfile.stages(path, arguments):
            base = built[stage.base] if stage.base in built else find_image(stage.base)
            variables = dockerfile.Variables(path, arguments, base.env)
            built[stage.name] = self._build_stage(stage, base, variables, context, built)
        return built[stage.name]

    def _build_stage(
        self,
        stage: dockerfile.Stage,
        base: Image,
        variables: dockerfile.Variables,
        context: Path,
        built: Mapping[str, Image],
    ) -> Image:
        image = base
        steps: list[Copy | Run] = []
        keys = [base.key]
        for item in stage.instructions:
            variables.take(item)
            text = dockerfile.fill(item.text, variables.visible)
            match item.name:
                case "WORKDIR":
                    image = replace(image, workdir=posixpath.join(image.workdir, text))
                case "USER":
                    image = replace(image, user=text)
                case "ENTRYPOINT":
                    image = replace(image, entrypoint=tuple(json.loads(text)))
                case "COPY":
                    single = dockerfile.Stage("", "", [replace(item, text=text)])
                    ((sources, origin, destination),) = dockerfile.copies(single)
                    paths = matches(built[origin].root if origin else context, sources)
                    steps.append(Copy(paths, destination, image.workdir))
                    keys.append(repr((built[origin].key, sources, text)) if origin else steps[-1].digest())
                case "RUN":
                    steps.append(Run(item.line, item.text, dict(variables.visible), image.workdir, image.user))
                    keys.append(steps[-1].digest())
        key = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16] if steps else base.key
        root = self._make_root(stage.name, base, key, steps) if steps else base.root
        return replace(image, key=key, root=root, env=variables.env)

    def _make_root(self, name: str, base: Image, key: str, steps: list[Copy | Run]) -> Path:
        root, complete = self.folder / key, self.folder / f"{key}.complete"
        if complete.exists():
            self.report(f"ok   {name}: built before")
            return root
        subprocess.run(["rm", "-rf", root], check=True)
        subprocess.run(["cp", "-a", "--one-file-system", base.root, root], check=True)
        if any(isinstance(step, Run) for step in steps):
            take_along(root)
        for step in steps:
            (root / step.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            if isinstance(step, Copy):
                copy_in(root, step.paths, step.workdir, step.destination)
            else:
                self._run(name, root, step)
        complete.touch()
        return root

    def _run(self, stage: str, root: Path, step: Run) -> None:
        command, env = ["/bin/sh", "-c", step.text], download_variables() | step.env
        with tempfile.TemporaryDirectory(dir=self.folder) as mount:
            entry = Entry(str(root), mount, command, env, step.workdir, step.user, keep=True, shared=True)
            done = subprocess.run(command_line(entry), capture_output=True, encoding="utf-8", check=False)
        self.report(f"{'FAIL' if done.returncode else 'ok  '} {stage}:{step.line} RUN {step.text[:70]}")
        if done.returncode:
            raise BuildError(f"{stage}:{step.line} RUN {step.text}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def matches(origin: Path, names: list[str]) -> list[Path]:
    """The paths that names with wildcards match; FileNotFoundError for a name that matches nothing."""
    paths: list[Path] = []
    for name in names:
        matched = sorted(origin.glob(os.path.normpath(name.lstrip("/"))))
        if not matched:
            raise FileNotFoundError(f"COPY {name}: not in {origin}")
        paths += matched
    return paths


def copy_in(root: Path, paths: list[Path], workdir: str, destination: str) -> None:
    """COPY: a folder's contents go into the destination, a file goes into it or becomes it."""
    base = root / posixpath.join(workdir, destination).lstrip("/")
    for source in paths:
        if source.is_dir():
            shutil.copytree(
                source, base, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            target = base / source.name if destination.endswith("/") else base
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
