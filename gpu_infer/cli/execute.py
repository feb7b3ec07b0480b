"""One run as every command does it: logging, debugger, progress, the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..app import RunResult
    from ..progress import Progress
    from ..settings import Settings


def execute(settings: Settings, *, debug: bool = False, bar: bool = True) -> RunResult:
    """Run the operator with `settings`; `bar` False: progress as log lines even on a terminal."""
    from .. import logs

    logs.configure(settings.logs, settings.config.parent, debug=debug)
    if settings.debug_port is not None:
        from ..debugger import wait_for_debugger

        wait_for_debugger(settings.debug_port, settings.debug_host, settings.wait_s)
    from ..app import run
    from .progress import show_progress
    from .signals import raise_if_interrupted

    try:
        with show_progress(bar=bar) as progress:

            def step(state: Progress) -> None:
                raise_if_interrupted()
                progress(state)

            return run(settings, step)
    except BaseException:
        # Here rather than when the interpreter ends: the error is the last line that is written.
        from ..triton.registration import close_unreported

        close_unreported()
        raise
