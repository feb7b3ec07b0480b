"""The models of a repository, as their config.pbtxt describes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.repository.entry import CONFIG, Entry, Tensor
from gpu_infer.repository.lock import interrupted_folders
from gpu_infer.triton.model.config_file import datatype_name, read_config_file

_INTERRUPTED = "a `gpu-infer models add` that was killed wrote it; the next `models add` or `models remove` deletes it"


class Listed(NamedTuple):
    """A folder of a repository: its entry, or the fault in it."""

    name: str
    entry: Entry | None
    fault: str = ""


def list_entries(repository: Path) -> list[Listed]:
    """Every model folder, by name, after the hidden folders of killed processes, which are no models.

    Raises ConfigError if the repository cannot be read.
    """
    try:
        folders = sorted(p for p in repository.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise ConfigError(
            f"model repository {repository} cannot be read: {error.strerror}",
            remedy="give a folder with one folder per model (--models)",
        ) from error
    killed = [Listed(path.name, None, _INTERRUPTED) for path in interrupted_folders(repository)]
    return [*killed, *(_listed(folder) for folder in folders)]


def read_entry(folder: Path) -> Entry:
    """The entry that config.pbtxt describes. Raises ModelError for a file that is missing or does not parse."""
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{path} is missing", remedy="expected NAME/config.pbtxt and NAME/1/…")
    parsed = read_config_file(path)
    inputs, outputs = (
        tuple(Tensor(t.name, datatype_name(t.data_type), tuple(t.dims)) for t in tensors)
        for tensors in (parsed.input, parsed.output)
    )
    return Entry(folder, parsed.backend or parsed.platform, inputs, outputs, parsed.max_batch_size)


def _listed(folder: Path) -> Listed:
    try:
        return Listed(folder.name, read_entry(folder))
    except ModelError as error:
        return Listed(folder.name, None, str(error))
