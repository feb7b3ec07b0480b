"""Places of the files of custom writers, and the call of a writer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.custom.errors import UnexpectedResultError, named, whole_bytes
from gpu_infer.volume.geometry import Shape3
from gpu_infer.writers.atomic import open_stage, publish
from gpu_infer.writers.base import LabelResult, Writer
from gpu_infer.writers.places import Place, check_places
from gpu_infer.writers.reports import REPORT_NAME
from gpu_infer.writers.staging import MARK

_OTHERS = ("case.json", "status.csv", "summary.json", "gpu_infer.log")
"""Files of runs and batches that no place stands for."""


def writer_places(writer: Writer, folder: Path, name: str) -> list[Place]:
    """Places of all files that a writer may make for the case `name`.

    Raises ConfigError if the writer fails or names a file that does not begin with `<name>.`.
    """
    with named(writer, "file_names"):
        names: Any = writer.file_names(name)
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(each, str) for each in names):
            raise UnexpectedResultError("a list of file names", names)
        for each in names:
            plain = each.startswith(f"{name}.") and each != f"{name}." and os.sep not in each and "\0" not in each
            if not plain or each in _OTHERS or each.endswith(REPORT_NAME):
                raise UnexpectedResultError(
                    f"a file name that begins with {f'{name}.'!r} and is none of this package's",
                    found=repr(each),
                    remedy=f"name files such as {f'{name}.mine.csv'!r}",
                )
    return [
        Place(folder / each, f"an output of {writer.label}", "output", partial(_is_older, writer)) for each in names
    ]


def check_own_names(places: Iterable[Place], others: Iterable[Place]) -> None:
    """Raise ConfigError if a file of a custom writer is also one of another writer or of the run itself."""
    known = {place.path for place in others}
    for place in places:
        if place.path in known:
            raise ConfigError(
                f"{place.path}: {place.kind} and another output would have this name, expected one",
                remedy="let the writer choose another name",
            )
        known.add(place.path)


def scratch_bytes(writer: Writer, shape: Shape3) -> int:
    """`Writer.scratch_bytes`, checked. Raises ConfigError that names the writer."""
    with named(writer, "scratch_bytes"):
        return whole_bytes(writer.scratch_bytes(shape))


def write_files(writer: Writer, result: LabelResult, folder: Path) -> list[Path]:
    """Call a writer, and move its files into `folder`: all or none. Returns them there, in the writer's order.

    Raises ConfigError if the writer fails or returns something else than `Writer.write` describes, ResourceError if the
    disk is full.
    """
    places = writer_places(writer, folder, result.name)
    expected = [place.path.name for place in places]
    with open_stage(folder, result.name) as stage:
        with named(writer, "write"):
            names = _checked(writer.write(result, stage), stage, expected)
        obsolete = [each for each in expected if each not in names]
        publish(stage, names, folder, obsolete=obsolete, check=partial(check_places, places))
    return [folder / each for each in names]


def _checked(files: Any, stage: Path, expected: Sequence[str]) -> list[str]:
    """Names of the files that a writer returns; they are in `stage`, and nothing else is."""
    if not isinstance(files, (list, tuple)) or not files or not all(isinstance(each, (str, Path)) for each in files):
        raise UnexpectedResultError("a list of the paths of the files in `folder`", files)
    names = []
    for path in map(Path, files):
        if path.parent != stage or path.name not in expected or path.name in names:
            raise UnexpectedResultError(
                f"files in `folder` with names of `file_names`, each once: {', '.join(expected)}",
                found=path.name if path.parent == stage else str(path),
            )
        if path.is_symlink() or not path.is_file():
            raise UnexpectedResultError(f"the regular file {path.name}", found="none")
        names.append(path.name)
    if others := sorted({path.name for path in stage.iterdir()} - {*names, MARK}):
        raise UnexpectedResultError(
            f"only the files that are returned: {', '.join(names)}",
            found=", ".join(others),
            remedy="return every file, and remove temporary ones",
        )
    return names


def _is_older(writer: Writer, path: Path) -> bool:
    with named(writer, "is_older_output"):
        value: Any = writer.is_older_output(path)
        if not isinstance(value, bool):
            raise UnexpectedResultError("True or False", value)
        return value
