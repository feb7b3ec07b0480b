"""A folder with stand-ins for what deploy/run_operator.sh calls, and a server with Triton's health."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_operator_place import Health, Place


@pytest.fixture
def health() -> Iterator[Health]:
    with Health() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, health: Health) -> Place:
    folder = Place(tmp_path, health.server_port)
    folder.install("docker")
    return folder
