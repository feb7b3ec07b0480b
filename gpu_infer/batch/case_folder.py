"""The folder of a case before an attempt: the state of the last one and the partial files of dead ones are removed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from gpu_infer.batch.state import FILE, read_record
from gpu_infer.writers.atomic import folder_error
from gpu_infer.writers.unfinished import clean

_PARTIAL = re.compile(r"\.(case\.json|report\.json|status\.csv|summary\.json)\.[0-9a-f]{16}\.partial")
"""Names of the temporary files of `replace_text`."""


def prepare(folder: Path) -> None:
    """Remove case.json, so that a killed attempt has none, and what killed attempts have left.

    Raises:
        ConfigError: a case.json of another program is there, or the folder cannot be written.
        ResourceError: the disk fails.
    """
    if not folder.is_dir():
        return
    read_record(folder)
    try:
        (folder / FILE).unlink(missing_ok=True)
        remove_partial_files(folder)
    except OSError as error:
        raise folder_error(error, folder) from error


def remove_partial_files(folder: Path) -> None:
    """Remove the files that killed processes were writing in `folder`. Raises OSError."""
    clean(folder)
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()
