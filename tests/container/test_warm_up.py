"""deploy/warm_up.py: who may read the kernels that an image is built with. prove_dockerfile.py runs all of it."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

WARM_UP = Path(__file__).resolve().parents[2] / "deploy" / "warm_up.py"


def test_every_user_may_read_the_compiled_kernels(tmp_path: Path) -> None:
    """The image is built as root and runs as any uid; Numba's folder is otherwise made with mode 0700."""
    previous = os.umask(0o077)
    try:
        folder = runpy.run_path(str(WARM_UP))["numba_folder"](tmp_path)
    finally:
        os.umask(previous)
    assert folder == tmp_path / "numba"
    assert folder.stat().st_mode & 0o777 == 0o755
