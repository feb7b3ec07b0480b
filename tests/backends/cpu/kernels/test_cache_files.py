"""Files of the cache of kernels: which source and which signature they belong to."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gpu_infer
from gpu_infer.backends.cpu.kernels.kernel_files import DamagedFile, KernelFiles

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

    class Late(KernelFiles):
        def _load_index(self) -> dict[Any, str]:
            return {}

    one, other = (Late(str(tmp_path), "kernels.f-1.py311", "sources") for _ in range(2))
    one.save("int16", "code for int16")
    other.save("uint16", "code for uint16")
    reader = KernelFiles(str(tmp_path), "kernels.f-1.py311", "sources")
    assert reader.load("int16") == "code for int16"
    assert reader.load("uint16") == "code for uint16"
    assert reader.load("int32") is None


def test_code_of_other_sources_is_never_read(tmp_path: Path) -> None:
    """A process wrote its index and was killed before it wrote its code."""
    name = "kernels.f-1.py311"
    old, new = (KernelFiles(str(tmp_path), name, sources) for sources in ("old", "new"))
    old.save("int16", "old code")
    assert old.load("int16") == "old code"
    assert new.load("int16") is None
    new._save_index({"int16": new._data_name_of("int16")})
    assert new.load("int16") is None


def _saved(folder: Path, *, sources: str = "sources", line: int = 1, **codes: str) -> KernelFiles:
    files = KernelFiles(str(folder), f"kernels.f-{line}.py311", sources)
    for key, code in codes.items():
        files.save(key, code)
    return files


def test_no_damaged_byte_is_read(tmp_path: Path) -> None:
    """Not the first one, not the last one: nothing but what was saved is returned."""
    files = _saved(tmp_path, int16="code for int16", uint16="code for uint16")
    path = tmp_path / files._data_name_of("int16")
    content = path.read_bytes()
    for n in range(len(content)):
        path.write_bytes(content[:n] + bytes([content[n] ^ 0x40]) + content[n + 1 :])
        with pytest.raises(DamagedFile):
            files.load("int16")
        path.write_bytes(content[:n])
        with pytest.raises(DamagedFile):
            files.load("int16")
    path.write_bytes(content + b"\0")
    with pytest.raises(DamagedFile):
        files.load("int16")
    path.write_bytes((tmp_path / files._data_name_of("uint16")).read_bytes())
    with pytest.raises(DamagedFile):
        files.load("int16")
    assert files.load("uint16") == "code for uint16"
    files.save("int16", "code for int16")
    assert files.load("int16") == "code for int16"


@pytest.mark.parametrize(
    "content", [b"", b"gpu_infer kernel\n", b"\x80", b"\x80\x05\x95garbage", b"other", pickle.dumps("0.60.0")]
)
def test_a_damaged_index_or_one_of_another_version_is_replaced(tmp_path: Path, content: bytes) -> None:
    files = _saved(tmp_path, int16="code for int16")
    index = tmp_path / files._index_name
    index.write_bytes(content)
    assert files.load("int16") == "code for int16"
    files.save("uint16", "code for uint16")
    assert files.load("uint16") == "code for uint16"
    assert set(files._load_index()) == {"uint16"}


def test_files_of_earlier_sources_are_removed_after_a_month(tmp_path: Path) -> None:
    old = ["kernels.f-1.py311.1.nbc", "kernels.f-7.py311.nbi", "kernels.f-7.py311.0123456789abcdef.nbc"]
    old += ["kernels.f-1.py311.nbi.tmp.0123456789abcdef", "kernels.f-1.py311.0123456789abcdef.nbc.tmp.0123456789abcdef"]
    others = ["kernels.f-1.py312.nbi", "kernels.f-1.py312.1.nbc", "kernels.f_serial-1.py311.1.nbc", "f-1.py311.1.nbc"]
    others += ["kernels.ff-1.py311.1.nbc", "my.kernels.f-1.py311.1.nbc", "kernels.f-1.py311.notes", "kernels.f-1"]
    month_s = 30 * 24 * 3600
    for name in (*old, *others, "kernels.f-2.py311.1.nbc"):
        (tmp_path / name).touch()
        age_s = month_s - 60 if name == "kernels.f-2.py311.1.nbc" else month_s + 60
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    (tmp_path / "kernels.f-3.py311.1.nbc").mkdir()
    os.utime(tmp_path / "kernels.f-3.py311.1.nbc", (0, 0))
    files = _saved(tmp_path, int16="code for int16")
    kept = {path.name for path in tmp_path.iterdir()}
    own = {files._index_name, files._data_name_of("int16")}
    assert kept == {*others, *own, "kernels.f-2.py311.1.nbc", "kernels.f-3.py311.1.nbc"}
    for name in own:  # in use for long
        os.utime(tmp_path / name, (0, 0))
    files.save("uint16", "code for uint16")
    assert files.load("int16") == "code for int16"
