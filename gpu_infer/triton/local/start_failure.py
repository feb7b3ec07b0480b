"""The error of a local server that ended by itself, or whose shared memory did not suffice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_infer.errors import ResourceError, ServerError
from gpu_infer.triton.local.ready import failure_reason, without_version
from gpu_infer.triton.shm.naming import SHM_FOLDER

_POOL = ("shared memory pool", "of shared memory cannot be made: No space left on device")
"""Words of a reason if the Python backend's memory for tensors cannot grow, and if it cannot be made."""


def start_failure(models: Sequence[Path], log: Path, start: int = 0) -> ServerError | ResourceError:
    """The error of a server that did not become ready, from its log after byte `start`, which the remedy names."""
    reason = failure_reason(log, start)
    see_log = f"its log is {log}"
    if folders := [folder for repository in models for folder in without_version(repository)]:
        return ServerError(
            f"the local Triton gave up: model {folders[0].name!r} has no version folder",
            remedy=f"put its file into {folders[0] / '1'}; {see_log}",
        )
    message = f"the local Triton gave up: {reason}"
    if _pool_is_small(reason):
        return ResourceError(
            f"the local Triton gave up: {SHM_FOLDER} is too small for the Python backend: {reason}",
            remedy=f"{_enlarge()}; {see_log}",
        )
    if "failed to load" in reason:
        return ServerError(message, remedy=f"correct the files of the model in its repository; {see_log}")
    return ServerError(message, remedy=f"see what its log says before that: {log}")


def request_failure(error: BaseException | None) -> ResourceError | None:
    """The error in place of one that a request to a local server ended with for lack of shared memory, else None.

    A server elsewhere has a /dev/shm of its own; the local one has that of this process.
    """
    if not isinstance(error, ServerError) or not _pool_is_small(error.message):
        return None
    return ResourceError(
        f"{SHM_FOLDER} is too small for the Python backend: {error.message}",
        remedy=f"{_enlarge()}, or use a smaller batch_size, roi_size or fewer slots",
    )


def _pool_is_small(text: str) -> bool:
    return any(words in text for words in _POOL)


def _enlarge() -> str:
    return f"make {SHM_FOLDER} larger, in a container with --shm-size=2g"
