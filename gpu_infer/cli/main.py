"""The entry points: they map what happened to one line and an exit code (docs/exit-codes.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from ..errors import ConfigError, GpuInferError
from . import demo, doctor, run, triton, validate, version
from .signals import InterruptSwitch

app = typer.Typer(
    name="gpu-infer",
    help="Scanning-window segmentation of medical volumes on NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("validate")(validate.validate)
app.add_typer(triton.app, name="triton")
app.command("doctor")(doctor.doctor)
app.command("version")(version.version)


def main() -> int:
    """The console script `gpu-infer`; returns the exit code."""
    return guarded(_command_line)


_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Click's class of usage errors: newer typers carry click under a name of their own, this one is public in all."""


def _command_line() -> None:
    """Parse and run; a usage error becomes one line like every other error, rather than a box."""
    try:
        code = app(prog_name="gpu-infer", standalone_mode=False)
    except _UsageError as error:
        context: Any = getattr(error, "ctx", None)
        name = "gpu-infer" if context is None else context.command_path
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(context.get_help().rstrip() + "\n")
            raise SystemExit(2) from error
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        raise ConfigError(f"{name}: {message}", remedy=f"{name} --help lists what there is") from error
    if code:
        raise SystemExit(code)


def container_main() -> int:
    """The container's main: environment variables in, files out; returns the exit code."""
    from .container import run_from_environment

    return guarded(run_from_environment)


def guarded(body: Callable[[], None]) -> int:
    """Run `body` and turn its end into an exit code; every failure is one line on stderr.

    SIGTERM and Ctrl-C raise `errors.Interrupted` in the main thread, so that everything is cleaned up on the
    way out; a second signal ends the process at once.
    """
    with InterruptSwitch() as switch:
        code = _run(body)
    # Code that goes on after a failure (publishing, say) may have caught the interrupt: still 130.
    return switch.exit_code if switch.signalled is not None and code == 0 else code


def _run(body: Callable[[], None]) -> int:
    try:
        body()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except GpuInferError as error:
        return _fail(error, str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", 130)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        return _fail(error, f"unexpected {type(error).__name__}: {error}", 1, unexpected=True)
    return 0


def _fail(error: BaseException, message: str, code: int, *, unexpected: bool = False) -> int:
    from .. import logs

    line = " ".join(message.split())
    kept = logs.record_failure(line, error if unexpected else None)
    if unexpected and not logs.debugging():
        line += " (--debug shows the traceback; the log file has it)" if kept else " (--debug shows the traceback)"
    sys.stderr.write(f"gpu-infer: error: {line}\n")
    if logs.debugging():
        import traceback

        traceback.print_exception(error)
    return code


def _closed_pipe() -> int:
    """The reader of our output went away (`gpu-infer … | head`): not worth a word."""
    import os

    # Python flushes stdout at exit and would complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
