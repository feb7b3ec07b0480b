"""A segment of a dead run that another server still maps stays; those of other users are named."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_user import holds_for_another_user, needs_two_users
from triton_fakes import FakeServer

from gpu_infer.doctor.leftovers import clean_leftovers
from gpu_infer.triton.shm.leftovers import find_leftovers
from gpu_infer.triton.shm.naming import SHM_FOLDER
from gpu_infer.triton.shm.segment_users import foreign_segments, mapped_by

NAME = "gpu_infer-99999-0123456789abcdef"


@pytest.fixture
def segment() -> Iterator[Path]:
    """The segment of a dead run, in a separate folder."""
    with tempfile.TemporaryDirectory(dir=SHM_FOLDER) as folder:
        path = Path(folder) / NAME
        path.write_bytes(bytes(8192))
        path.chmod(0o600)
        yield path


def test_a_segment_of_another_servers_region(segment: Path) -> None:
    client = FakeServer().client()  # which knows no region
    with segment.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert [user.split()[0] for user in mapped_by(segment)] == [str(os.getpid())]
        (check,) = clean_leftovers(find_leftovers(client, segment.parent), client)
        assert check.status == "warn"
        assert check.found.startswith(
            f"not removed, unknown to {client.url}: {NAME} (0.0 MiB): {segment}, used by process"
        )
        assert check.remedy == "name the server that this process is with --triton, and --clean again"
        assert segment.exists()
    assert mapped_by(segment) == []
    (check,) = clean_leftovers(find_leftovers(client, segment.parent), client)
    assert (check.status, check.found) == ("ok", f"removed: {NAME} (0.0 MiB): {segment}")
    assert not segment.exists()
    assert mapped_by(segment) == []


@needs_two_users
def test_segments_of_another_user(segment: Path) -> None:
    assert foreign_segments(segment.parent) == []
    (segment.parent / "else").touch()
    segment.parent.chmod(0o755)
    assert holds_for_another_user(lambda: foreign_segments(segment.parent) == [segment])
