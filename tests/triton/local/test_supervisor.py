"""Regions and umask of a supervised server; test_follow and test_serve cover how commands and servers end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gpu_infer.triton.local import supervisor


def test_a_supervisor_removes_its_own_regions_alone(tmp_path: Path) -> None:
    """Of two supervisors with one pid, as in two containers."""
    mine, first = supervisor.take_prefix(tmp_path)
    theirs, second = supervisor.take_prefix(tmp_path)
    for prefix in (mine, theirs):
        (tmp_path / f"{prefix}region").touch()
    supervisor.remove_regions(mine, tmp_path)
    os.close(first)
    os.close(second)
    assert {path.name for path in tmp_path.iterdir()} == {f"{theirs}owner", f"{theirs}region"}
    assert (tmp_path / f"{theirs}owner").stat().st_mode & 0o777 == 0o600


def test_a_server_starts_with_the_umask_of_one_user(tmp_path: Path) -> None:
    script = tmp_path / "server.sh"
    script.write_text(f"#!/bin/sh\numask > {tmp_path}/umask\n")
    script.chmod(0o700)
    command = [sys.executable, supervisor.__file__, "server", str(tmp_path), "1", "", str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        process.wait(30)
    assert (tmp_path / "umask").read_text().strip() == "0077"


def test_regions_are_closed_to_others(tmp_path: Path) -> None:
    prefix = "triton_gpu_infer_7_"
    for name in (f"{prefix}a", f"{prefix}b", "triton_gpu_infer_77_a"):
        (tmp_path / name).touch(0o644)
    supervisor.protect_regions(prefix, tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {f"{prefix}a": 0o600, f"{prefix}b": 0o600, "triton_gpu_infer_77_a": 0o644}
