"""Class and remedy of a failed local server, from its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import ModelError, ResourceError, ServerError
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.local.start_failure import request_failure, start_failure

FAILED = "E1129 23:52:21.2 1 model_lifecycle.cc:642] \"failed to load 'm' version 1: Internal: {why}\"\n"
SMALL = (
    "Unable to initialize shared memory key 'triton_1' to requested size (1048576 bytes). If you are running Triton "
    "inside docker, use '--shm-size' flag to control the shared memory region size. Each Python backend model instance "
    "requires at least 1 MB of shared memory. Error: No space left on device"
)
POOL = "Failed to increase the shared memory pool size for key 'triton_1' to 67108864 bytes"


@pytest.mark.parametrize("why", [SMALL, POOL])
def test_too_little_shared_memory_is_a_lack_of_resources(why: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(FAILED.format(why=why))
    error = start_failure([tmp_path], log)
    assert isinstance(error, ResourceError)
    assert error.exit_code == 5
    assert error.message.startswith("the local Triton gave up: /dev/shm is too small for the Python backend: model 'm'")
    assert error.remedy == f"make /dev/shm larger, in a container with --shm-size=2g; its log is {log}"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (FAILED.format(why="no weights"), "correct the files of the model in its repository; its log is {log}"),
        ("error: creating server: no ports\n", "see what its log says before that: {log}"),
    ],
)
def test_a_remedy_stands_before_the_log(text: str, remedy: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    error = start_failure([tmp_path], log)
    assert (error.exit_code, error.remedy) == (4, remedy.format(log=log))


def test_a_model_without_a_version_folder(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.pbtxt").touch()
    error = start_failure([tmp_path], log)
    assert str(error) == (
        f"the local Triton gave up: model 'm' has no version folder (put its file into {tmp_path}/m/1; "
        f"its log is {log})"
    )


def test_a_request_that_found_too_little_shared_memory(tmp_path: Path) -> None:
    """The memory of the local server is that of this process."""
    (tmp_path / "m").mkdir()
    lost = ModelError(f"inference of model m at 127.0.0.1:1: {POOL}")
    with pytest.raises(ResourceError, match=r"^/dev/shm is too small for the Python .*: inference") as caught:
        LocalServer(tmp_path).__exit__(ModelError, lost, None)
    assert caught.value.__cause__ is lost
    assert request_failure(ServerError("anything else")) is None
    assert request_failure(KeyboardInterrupt()) is None
    assert request_failure(None) is None
