"""Recognise an output folder that is meant as a file."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.volume.input_files import extension


def check_output_folder(folder: Path) -> None:
    """Raise ConfigError for an output folder with the name of a volume's file, unless it is a folder that exists."""
    ending = extension(folder)
    if ending is not None and not folder.is_dir():
        raise ConfigError(
            f"--output: found {str(folder)!r}, a file name that ends with {ending}, expected a folder",
            remedy="give a folder, for example --output out: the label map gets the name of the input and is a "
            ".mhd with a .raw",
        )
