"""Arenas: their memory, and that no segment outlives its owner."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import ResourceError
from gpu_infer.triton.shm.host_arenas import HostArena, SystemArena, check_space

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_segment_is_shared_memory_of_its_own() -> None:
    arena = SystemArena(10000)
    path = Path("/dev/shm") / arena.key[1:]
    assert arena.key == f"/{arena.name}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == 10000
    view = arena.view(16, (2, 3), np.float32)
    assert not view.any()
    view[:] = np.arange(6).reshape(2, 3)
    assert np.frombuffer(path.read_bytes(), np.float32, 6, 16).tolist() == [0, 1, 2, 3, 4, 5]
    arena.close()
    assert not path.exists()
    arena.close()
    with pytest.raises(ValueError, match="closed"):
        arena.view(0, (1,), np.uint8)


@given(st.integers(-3, 130), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.sampled_from(["f4", "f2"]))
def test_views_stay_inside(offset: int, shape: list[int], dtype: str) -> None:
    arena = HostArena(128)
    end = offset + int(np.prod(shape)) * np.dtype(dtype).itemsize
    fits = offset >= 0 and end <= 128
    if fits:
        assert arena.view(offset, shape, dtype).shape == tuple(shape)
    else:
        with pytest.raises(ValueError, match="does not fit an arena of 128 bytes"):
            arena.view(offset, shape, dtype)
    arena.close()


def test_host_arena_is_page_aligned_and_zeroed() -> None:
    arena = HostArena(100)
    view = arena.view(0, (100,), np.uint8)
    assert view.ctypes.data % mmap.PAGESIZE == 0
    assert not view.any()
    arena.close()
    arena.close()
    view[:] = 1  # a view keeps its pages mapped


def test_too_small_shared_memory_is_an_error_not_a_crash() -> None:
    with pytest.raises(ResourceError, match=r"need 1073741824\.0 MiB of shared memory") as caught:
        SystemArena(1 << 50)
    assert "--shm-size" in (caught.value.remedy or "")
    assert "--data" not in (caught.value.remedy or "")  # the transport adds it if the data transport is fixed


def test_space_can_be_asked_for_without_an_arena(tmp_path: Path) -> None:
    check_space(1 << 12, tmp_path)
    with pytest.raises(ResourceError, match=rf"the slots need 1073741824\.0 MiB of shared memory, but {tmp_path} has"):
        check_space(1 << 50, tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r": cannot make a shared memory segment: No such file"):
        SystemArena(10, tmp_path / "missing")
    for nbytes in (0, -5):
        with pytest.raises(ValueError, match="must be positive"):
            SystemArena(nbytes)
        with pytest.raises(ValueError, match="must be positive"):
            HostArena(nbytes)


@pytest.mark.parametrize(
    "end",
    ["pass", "raise SystemExit(3)", "raise KeyError('x')", "del arena", "import os, signal; raise KeyboardInterrupt"],
)
def test_every_end_of_the_interpreter_removes_the_segment(end: str) -> None:
    code = (
        f"from gpu_infer.triton.shm.host_arenas import SystemArena; arena = SystemArena(4096); print(arena.name)\n{end}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    name = done.stdout.strip()
    assert name.startswith("gpu_infer-")
    assert not (Path("/dev/shm") / name).exists()


def test_a_forked_child_removes_nothing() -> None:
    arena = SystemArena(4096)
    code = "import os\nfrom gpu_infer.triton.shm.host_arenas import SystemArena\na = SystemArena(4096)\n"
    code += "if os.fork() == 0: raise SystemExit\nos.wait()\nprint(a.path.exists())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "True"
    arena.close()


def test_an_interrupted_close_does_not_close_the_file_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a closed file is soon that of another one."""
    arena = SystemArena(4096)
    close = os.close

    def interrupted(fd: int) -> None:
        close(fd)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arena.close()
    monkeypatch.undo()
    with Path(os.devnull).open("rb") as other:
        arena.close()
        os.fstat(other.fileno())
    assert not arena.path.exists()
