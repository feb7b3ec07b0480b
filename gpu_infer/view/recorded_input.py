"""The input as a report has it, and whether it is still the volume that was segmented."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_infer.errors import InputError
from gpu_infer.volume.file_hash import FileHash
from gpu_infer.volume.input_files import is_archive
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.places import META_NAME

_KEEPS = "--publish FOLDER keeps a copy"
_AGAIN = "run again with --publish FOLDER, which keeps a copy"


class RecordedInput:
    """The section `input` of a report. Its files are hashed in a thread meanwhile, which costs no time.

    Raises `KeyError` or `TypeError` for a section of another program.
    """

    def __init__(self, section: dict[str, Any], published: Sequence[str] = ()) -> None:
        """`published` are the files of the report's publish folder, which has a copy."""
        self._published = _publish_folder(published)
        self.path = Path(section["path"])
        self._has_digest = "sha256" in section  # reports of older versions have none
        self._digest = section.get("sha256")
        self._files = [Path(name) for name in section.get("files", [self.path])]
        self._hash = FileHash(self._files, {})
        self._hash.start()

    def check_exists(self, place: Path) -> None:
        """Raise `InputError` if there is nothing to read. `place` is the report."""
        for path in (self.path, *self.path.parents):
            if is_archive(path) and path.is_file():
                raise InputError(
                    f"{path}: found an archive as the input of the run in {place}", remedy=self._copy() or _AGAIN
                )
        if not self.path.exists():
            copy = self._copy()
            raise InputError(
                f"{self.path}: the input of the run in {place} is not there any more",
                remedy=f"{copy}, or move the input back to that path"
                if copy
                else f"move it back to that path, or {_AGAIN}",
            )

    def remedy_of_change(self) -> str:
        """What to do about a `change`."""
        copy = self._copy()
        return f"run the segmentation again, or {copy}" if copy else f"run the segmentation again; {_KEEPS}"

    def _copy(self) -> str:
        """The part of a remedy that names the publish folder, if there still is one; else empty."""
        return f"give {self._published}, which has a copy" if self._published else ""

    def change(self, volume: Volume) -> str | None:
        """How the input differs from that of the run; None if it does not, as far as the report can tell.

        volume  that was read from `path`
        """
        known = {path.absolute() for path in self._files}
        new = [path for path in volume.files if path.absolute() not in known]
        if new:
            return f"has a file that the run did not read: {new[0].name}"
        if not self._has_digest:
            return None
        if self._digest is None:
            return "changed during the run, so that the report has no sha256 of it"
        digest = self._hash.digest(wait=True)
        return None if digest == self._digest else "changed since the run"


def _publish_folder(published: Sequence[str]) -> Path | None:
    """The folder of the config.meta among the files that a run published, if all of them are still there.

    A later run removes those of an earlier case.
    """
    paths = [Path(name) for name in published]
    if not all(path.is_file() for path in paths):
        return None
    return next((path.parent for path in paths if path.name == META_NAME), None)
