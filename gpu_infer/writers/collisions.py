"""Files that would take each other's place: refused before any work, since nobody wants the input replaced."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ConfigError


def check_folders(output: Path, publish: Path | None) -> None:
    """ConfigError where both are one folder: the published volume has the name of the label map."""
    if publish is not None and publish.resolve() == output.resolve():
        raise ConfigError(
            f"{publish}: output and publish folder are the same, and both hold a <name>.mhd",
            remedy="give two folders, or publish nothing with --publish ''",
        )


def check_input_kept(files: Iterable[Path], name: str, output: Path, publish: Path | None) -> None:
    """ConfigError where a file of the input would be replaced by one that is written.

    files  all files of the input volume
    name   base name of what is written: <name>.mhd and .raw into `output`, the same and <name>.out.* into `publish`
    """
    kept = {path.resolve() for path in files}
    folders: list[tuple[str, Path, tuple[str, ...]]] = [("output", output, (".mhd", ".raw", ".zraw"))]
    if publish is not None:
        folders.append(("publish", publish, (".mhd", ".raw", ".zraw", ".out.mhd", ".out.raw")))
    for option, folder, suffixes in folders:
        for suffix in suffixes:
            target = folder / f"{name}{suffix}"
            if target.resolve() in kept:
                raise ConfigError(
                    f"{target}: is the input itself (or an older result taken for it) and would be replaced",
                    remedy=f"give another folder with --{option}, or name the input file with --input",
                )
