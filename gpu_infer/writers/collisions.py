"""Refuse, before any work, outputs that would replace the input, another program's file, or each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.writers.atomic import folder_error
from gpu_infer.writers.places import Place, check_name, check_places
from gpu_infer.writers.staging import folder_lock
from gpu_infer.writers.unfinished import undo_unfinished_moves


def check_folders(output: Path, publish: Path | None) -> None:
    """Raise `ConfigError` if both are one folder: the published volume has the name of the label map."""
    if publish is not None and (publish.resolve() == output.resolve() or _is_same(output, publish)):
        raise ConfigError(
            f"{publish}: output and publish folder are the same, and both hold a <name>.mhd",
            remedy="give two folders, or publish nothing with --publish ''",
        )


def check_outputs(
    inputs: Sequence[Path],
    output: Path,
    places: Sequence[Place],
    publish: Path | None = None,
    published: Sequence[Place] = (),
) -> None:
    """Raise an error before the inference if a file could not be written after it.

    Args:
        inputs: every file of the input; they are compared, by device and inode, with every file that will be written.
        output, publish: folders; `publish` is None if nothing is published.
        places, published: the files that will be written into them.

    Older outputs whose replacement was killed half-way come back first. Raises what `check_name` and `check_places`
    raise.
    """
    try:
        _check_folder(output, places, inputs)
    except OSError as error:
        raise folder_error(error, output) from error
    if publish is not None:
        with suppress(OSError):  # in a folder that cannot be used nothing is replaced; publishing reports it
            _check_folder(publish, published, inputs)


def _check_folder(folder: Path, places: Sequence[Place], inputs: Sequence[Path]) -> None:
    for place in places:
        check_name(place)
    if folder.is_dir():
        with folder_lock(folder):  # so that no other run's unfinished move is visible
            undo_unfinished_moves(folder)
            check_places(places, inputs)
    else:  # the folder is made later
        check_places(places, inputs)


def _is_same(output: Path, publish: Path) -> bool:
    try:
        return output.samefile(publish)
    except OSError:  # one of them does not exist yet
        return False
