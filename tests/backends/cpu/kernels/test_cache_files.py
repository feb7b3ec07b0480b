"""Files of the cache of kernels: which source and which signature they belong to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpu_infer
from gpu_infer.backends.cpu.kernels.machine_code import _Files

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from gpu_infer import zoom
print(json.dumps(zoom(np.array([[[0, 8]]], np.float32), (1, 1, 2), order=1, mode="nearest").tolist()))
"""


def _zoomed(folder: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(folder)],
        env={"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values: list[float] = json.loads(done.stdout)[0][0]
    return values


def test_a_kernel_is_compiled_again_if_a_helper_in_another_module_changes(tmp_path: Path) -> None:
    package = tmp_path / "gpu_infer"
    shutil.copytree(Path(gpu_infer.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.js"))
    before = _zoomed(tmp_path)
    assert _zoomed(tmp_path) == before
    helpers = package / "backends" / "cpu" / "kernels" / "interpolation.py"
    source, copy = helpers.read_text(encoding="utf-8"), "line[i] = plane[np.uintp(a + i)]\n"
    assert source.count(copy) == 1
    helpers.write_text(source.replace(copy, copy.replace("\n", " + np.float32(1)\n")), encoding="utf-8")
    assert _zoomed(tmp_path) == pytest.approx([value + 1 for value in before])


def test_two_processes_that_save_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    """Both read the index before either wrote it."""

    class Late(_Files):
        def _load_index(self) -> dict[Any, str]:
            return {}

    one, other = (Late(str(tmp_path), "kernels.f-1.py311", "sources") for _ in range(2))
    one.save("int16", "code for int16")
    other.save("uint16", "code for uint16")
    one._save_data(one._data_name_of("int16"), "code for int16")
    reader = _Files(str(tmp_path), "kernels.f-1.py311", "sources")
    assert reader.load("int16") in (None, "code for int16")
    assert reader.load("uint16") in (None, "code for uint16")


def test_code_of_other_sources_is_never_read(tmp_path: Path) -> None:
    """A process wrote its index and was killed before it wrote its code."""
    name = "kernels.f-1.py311"
    old, new = (_Files(str(tmp_path), name, sources) for sources in ("old", "new"))
    old.save("int16", "old code")
    assert old.load("int16") == "old code"
    assert new.load("int16") is None
    new._save_index({"int16": new._data_name_of("int16")})
    assert new.load("int16") is None
