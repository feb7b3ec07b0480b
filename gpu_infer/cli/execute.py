"""One run as each command does it: logging, debugger, progress, the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_infer.app import RunResult
    from gpu_infer.progress import Progress
    from gpu_infer.settings import Settings


def execute(settings: Settings, *, debug: bool = False, bar: bool = True) -> RunResult:
    """Run the operator; without `bar`, progress is log lines even on a terminal. Raises GpuInferError."""
    from gpu_infer import logs

    logs.configure(settings.logs, settings.config.parent, debug=debug)
    if settings.debug_port is not None:
        from gpu_infer.system.debugger import wait_for_debugger

        wait_for_debugger(settings.debug_port, settings.debug_host, settings.ready_wait_s)
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
