"""Bytecode of the package, as `pip install` writes it.

A checkout has none where PYTHONDONTWRITEBYTECODE is set: each run would compile the sources of all that it imports.
"""

from __future__ import annotations

import compileall
from pathlib import Path

import gpu_infer


def compile_package() -> None:
    """Compile what is newer than its bytecode."""
    compileall.compile_dir(str(Path(gpu_infer.__file__).parent), quiet=2)
