"""One run as each command does it: logging, debugger, progress, the operator."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpu_infer.system.preload import preload

if TYPE_CHECKING:
    from gpu_infer.app import RunResult
    from gpu_infer.progress import Progress
    from gpu_infer.settings import Settings


def execute(settings: Settings, *, debug: bool = False, bar: bool = True, console: int = logging.NOTSET) -> RunResult:
    """Run the operator. Raises GpuInferError.

    Args:
        settings: of the run.
        debug: log more.
        bar: draw a bar, if stderr is a terminal; progress is log lines in any case.
        console: lowest level of log lines that the console shows.
    """
    from gpu_infer import logs

    logs.configure(settings.logs, settings.config.parent, debug=debug, console=console)
    if settings.debug_port is not None:
        from gpu_infer.system.debugger import wait_for_debugger

        wait_for_debugger(settings.debug_port, settings.debug_host, settings.ready_wait_s)
    preload("gpu_infer.app")
    from gpu_infer.app import run
    from gpu_infer.cli.progress import show_progress
    from gpu_infer.cli.signals import raise_if_interrupted

    try:
        with show_progress(bar=bar) as progress:

            def step(state: Progress) -> None:
                raise_if_interrupted()
                progress(state)

            return run(settings, step)
    except BaseException:
        # Not at interpreter exit: the error must be the last line.
        from gpu_infer.triton.shm.registration import close_unreported

        close_unreported()
        raise
