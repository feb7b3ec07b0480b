"""A session: one configuration, one server connection and one device for many runs."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType

from gpu_infer.errors import ConfigError, GpuInferError, ServerError
from gpu_infer.progress import ProgressCallback, silent
from gpu_infer.report import Report
from gpu_infer.session.one_case import run_case
from gpu_infer.session.result import RunResult
from gpu_infer.session.shared import Shared
from gpu_infer.settings import Settings

log = logging.getLogger(__name__)

OF_A_CASE = frozenset(
    {
        *("input", "channels", "series", "series_files", "name"),
        *("output", "output_name", "logs", "publish", "dicom_reference"),
    }
)
"""Fields of `Settings` that may differ from run to run."""


class Session:
    """Runs with one configuration, which share the server, the model's metadata, the slots, the device and its memory.

    A context manager, or call `close`. The first run opens it, or `open`. `run` may be called from several threads:
    reading, the device and writing each serve one run at a time, so that one volume is read and another one written
    while a third is inferred. Memory is planned for all of them; a run waits until it fits beside the others.

    Args:
        settings: Options of all runs.
        lasting: Keep the slots open from run to run. Without, their memory is free after each inference.
        host_bytes: What this process may have of the host's memory; None: what is free.
        clients: Sessions that send to the server at the same time, this one included. Together, they send no more
            requests than the queue of the model takes.
    """

    def __init__(
        self, settings: Settings, *, lasting: bool = True, host_bytes: int | None = None, clients: int = 1
    ) -> None:
        self.settings = settings
        self._shared = Shared(settings, lasting=lasting, host_bytes=host_bytes, clients=clients)

    def open(self) -> None:
        """Connect, choose the transport and ask for the model now, instead of in the first run.

        Raises:
            ConfigError: The configuration or an option cannot be used.
            ServerError: There is no server, or it does not have the model.
            ResourceError: The device cannot be used.
        """
        self._shared.open()

    def run(self, settings: Settings | None = None, progress: ProgressCallback | None = None) -> RunResult:
        """Segment one volume; see `gpu_infer.app.run` for the files.

        Args:
            settings: Of this run; they may differ from those of the session in `OF_A_CASE`. None: those of the session.
            progress: Receives an event at the begin and end of every stage, and after every batch of windows. Runs in
                this thread; an exception from it ends the run.

        Returns:
            The files, and the content of report.json (docs/report.md).

        Raises:
            GpuInferError: With an exit code and a message of one line that says what to do. The session serves further
                runs.
        """
        settings = self.settings if settings is None else settings
        self._check(settings)
        report = Report(progress or silent)
        try:
            with ExitStack() as stack:
                result = run_case(self._shared, settings, report, stack)
            report.finish("done")
        except SystemExit as end:  # only code that the configuration names ends the process
            refusal = ConfigError(
                f"code that the configuration names called sys.exit({end.code!r})",
                remedy="a component raises an exception to fail",
            )
            report.finish("failed", str(refusal))
            _write_report(report, settings.logs)
            raise refusal from end
        except BaseException as error:
            if isinstance(error, ServerError):
                self._shared.forget_models()
            report.finish("failed", str(error) if isinstance(error, GpuInferError) else repr(error))
            _write_report(report, settings.logs)
            raise
        result.report = _write_report(report, settings.logs)
        return result

    def close(self) -> None:
        """Unregister and free the slots, and stop a local server. Runs must have ended."""
        self._shared.close()

    def _check(self, settings: Settings) -> None:
        for each in fields(Settings):
            if each.name not in OF_A_CASE and getattr(settings, each.name) != getattr(self.settings, each.name):
                raise ConfigError(
                    f"{each.name}: found {getattr(settings, each.name)!r} for one run, expected "
                    f"{getattr(self.settings, each.name)!r} as for the session",
                    remedy="open a session of its own",
                )

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.close(error)


def _write_report(report: Report, folder: Path) -> Path | None:
    try:
        return report.write(folder)
    except OSError as error:
        log.warning("report.json could not be written to %s: %s", folder, error)
        return None
