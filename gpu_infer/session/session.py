"""A session: one configuration, one server connection and one device for many runs."""

from __future__ import annotations

from types import TracebackType

from gpu_infer.app import RunResult, run
from gpu_infer.progress import ProgressCallback
from gpu_infer.settings import Settings


class Session:
    """Runs of one configuration, which share the server, the model's metadata, the slots, the device and its memory.

    A context manager. `run` may be called from several threads: the stages of one run overlap with those of others, as
    far as reading, the device and writing each serve one run at a time.

    Args:
        settings: Options of all runs. `run` replaces those of the case.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, settings: Settings, progress: ProgressCallback | None = None) -> RunResult:
        """Run one case as `app.run` does; options other than input, output, logs and names are the session's.

        Raises what `app.run` raises. After an error of the case, the session serves further ones.
        """
        return run(settings, progress)

    def close(self) -> None:
        """End the session: unregister the slots, close the connection, stop a local server."""

    def end_thread(self) -> None:
        """Free what the connection needs per thread: the last call of a thread that called `run`."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
