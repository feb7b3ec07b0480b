"""Leftovers of a killed process are listed and removed; names of a living process or another host are not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from triton_fakes import FakeServer

from gpu_infer.triton.client.failures import RegionBusy
from gpu_infer.triton.client.protocol import RegionInfo
from gpu_infer.triton.shm.host_arenas import SystemArena
from gpu_infer.triton.shm.leftovers import clean, find_leftovers
from gpu_infer.triton.shm.naming import create_locked

pytestmark = pytest.mark.usefixtures("no_leftovers")


def _killed_owner(folder: Path) -> str:
    """The name of a segment whose owner was killed."""
    code = (
        "import sys, pathlib; from gpu_infer.triton.shm.host_arenas import SystemArena\n"
        f"arena = SystemArena(8192, pathlib.Path({str(folder)!r})); print(arena.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert find_leftovers(folder=folder) == []  # it lives
        owner.send_signal(signal.SIGKILL)
    return name


def test_killed_owner(tmp_path: Path) -> None:
    name = _killed_owner(tmp_path)
    server = FakeServer()
    server.regions[name] = RegionInfo(name, "system", f"/{name}", 8192)
    other = "gpu_infer-1-0123456789abcdef"  # of another host: no file here
    server.regions[other] = RegionInfo(other, "system", f"/{other}", 5)
    leftovers = find_leftovers(server.client(), tmp_path)
    assert [(item.name, item.nbytes, item.region) for item in leftovers] == [(name, 8192, server.regions[name])]
    assert str(leftovers[0].pid) in name
    assert str(leftovers[0]) == f"{name} (0.0 MiB): {tmp_path / name}, system region on the server"
    with pytest.raises(ValueError, match="pass the client"):
        clean(leftovers)
    clean(leftovers, server.client())
    assert list(server.regions) == [other]
    assert list(tmp_path.iterdir()) == []
    assert find_leftovers(server.client(), tmp_path) == []


def test_living_owner_in_this_process_is_left_alone() -> None:
    arena = SystemArena(4096)
    assert arena.name not in [item.name for item in find_leftovers()]
    arena.close()


def test_a_cuda_regions_marker(tmp_path: Path) -> None:
    name, fd = create_locked(tmp_path)
    server = FakeServer()
    server.regions[name] = RegionInfo(name, "cuda", "", 1 << 21)
    assert find_leftovers(server.client(), tmp_path) == []
    os.close(fd)
    clean(find_leftovers(server.client(), tmp_path), server.client())
    assert server.log == ["unregister cuda"]
    assert not server.regions


def test_a_busy_region_does_not_keep_the_others(tmp_path: Path) -> None:
    server = FakeServer()
    for _ in range(2):
        name, fd = create_locked(tmp_path)
        os.close(fd)
        server.regions[name] = RegionInfo(name, "system", f"/{name}", 1)
    busy, free = find_leftovers(server.client(), tmp_path)
    server.unregister_errors = [RegionBusy("in use")]
    with pytest.raises(RegionBusy, match=f"{busy.name}: the server at fake:1 .*come again with --clean once"):
        clean([busy, free], server.client(), busy_s=0)
    assert list(server.regions) == [busy.name]
    assert [path.name for path in tmp_path.iterdir()] == [busy.name]


def test_a_busy_region_is_waited_for(tmp_path: Path) -> None:
    name, fd = create_locked(tmp_path)
    os.close(fd)
    server = FakeServer()
    server.regions[name] = RegionInfo(name, "system", f"/{name}", 1)
    leftovers = find_leftovers(server.client(), tmp_path)
    server.unregister_errors = [RegionBusy("in use")] * 2
    with pytest.raises(RegionBusy, match="in use"):
        clean(leftovers, server.client(), busy_s=0)
    assert (tmp_path / name).exists()  # so that a later clean removes it
    clean(leftovers, server.client())
    assert not server.regions
    assert not (tmp_path / name).exists()


def test_foreign_files_are_no_leftovers(tmp_path: Path) -> None:
    for name in ("gpu_infer-x", "sem.other", "gpu_infer-12-short"):
        (tmp_path / name).touch()
    assert find_leftovers(folder=tmp_path) == []
    assert find_leftovers(folder=tmp_path / "missing") == []
