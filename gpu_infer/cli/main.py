"""The entry points: they turn every error into one line and an exit code (docs/exit-codes.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from gpu_infer.cli import streams
from gpu_infer.cli.commands import make_app
from gpu_infer.cli.once import UsageError
from gpu_infer.cli.signals import InterruptSwitch
from gpu_infer.errors import ConfigError, GpuInferError, Interrupted, ResourceError, escape
from gpu_infer.redaction import redact
from gpu_infer.system.shortage import shortage


def __getattr__(name: str) -> typer.Typer:
    """`app`, the program with all commands."""
    if name != "app":
        raise AttributeError(name)
    return make_app()


def main() -> int:
    """The console script `gpu-infer`; returns the exit code."""
    return guarded(_command_line)


_COMPLETE_VARIABLE = "_GPU_INFER_COMPLETE"
"""Set by the shell whose completion asks for words."""

_COMPLETION_OPTIONS = ("--install-completion", "--show-completion")


_EXAMPLES = {
    "gpu-infer run": "gpu-infer run -i scan.nii.gz -o out",
    "gpu-infer batch": "gpu-infer batch -i scans -o out",
    "gpu-infer demo": "gpu-infer demo -i scan.nii.gz -o out",
    "gpu-infer validate": "gpu-infer validate config_inference.json -i scan.nii.gz",
    "gpu-infer doctor": "gpu-infer doctor -i scan.nii.gz -o out",
    "gpu-infer triton serve": "gpu-infer triton serve --models my_models",
    "gpu-infer triton install": "gpu-infer triton install --cache folder",
}
"""What a call with files as bare arguments meant."""


def _command_line() -> int:
    """Parse and run; a usage error becomes one line like every other error, rather than a box."""
    app = make_app(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        code = app(prog_name="gpu-infer", standalone_mode=False)
    except UsageError as error:
        context: Any = getattr(error, "ctx", None)
        name = "gpu-infer" if context is None else context.command_path
        if type(error).__name__ == "NoArgsIsHelpError":
            if help_text := error.format_message():
                sys.stdout.write(help_text.rstrip() + "\n")  # else rich has printed it
            raise ConfigError(f"{name}: no command given", remedy=f"{name} --help lists the commands") from None
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        remedy = f"{name} --help lists what there is"
        if example := _EXAMPLES.get(name) if "unexpected extra argument" in message else None:
            remedy = f"files and folders are options: {example}; {remedy}"
        if name == "gpu-infer" and (command := _triton_command(message)):
            message, remedy = f"No such command '{command}'", f"did you mean gpu-infer triton {command}? {remedy}"
        raise ConfigError(f"{name}: {message}", remedy=remedy) from error
    except SystemExit as end:
        if _COMPLETE_VARIABLE not in os.environ and not set(_COMPLETION_OPTIONS).intersection(sys.argv[1:2]):
            raise
        return end.code if isinstance(end.code, int) else 0  # typer ends the process after completion
    return code if isinstance(code, int) else 0


def _triton_command(message: str) -> str | None:
    """The command of `gpu-infer triton` that a message about an unknown command names."""
    from gpu_infer.cli import triton

    commands = [command.name for command in triton.app.registered_commands]
    return next((name for name in commands if name and message.startswith(f"No such command '{name}'")), None)


def container_main() -> int:
    """The container's main: environment variables in, files out; returns the exit code."""
    from gpu_infer.cli.container import run_from_environment

    return guarded(run_from_environment)


def guarded(body: Callable[[], int | None]) -> int:
    """Run `body` and turn its end into an exit code; every failure is one line on stderr.

    `body` returns None or an exit code. SIGTERM and Ctrl-C raise `errors.Interrupted` in the main thread, so that
    everything is cleaned up on the way out; a second signal ends the process at once.
    """
    streams.prepare()
    with InterruptSwitch() as switch:
        code = _run(body, switch)
    code = _flush(code)
    # Code that goes on after a failure (publishing, say) may have caught the interrupt: still 130.
    return switch.exit_code if switch.signalled is not None and code == 0 else code


def _run(body: Callable[[], int | None], switch: InterruptSwitch) -> int:
    try:
        return _call(body, switch)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich ends so, once the reader of a help text went away
            return 0
        text = f"code that the configuration names called sys.exit({end.code!r}): nothing is complete"
        return _fail(end, f"{text} (a component raises an exception to fail)", ConfigError.exit_code)
    except GpuInferError as error:
        return _fail(error, str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", 130)
    except BaseException as error:  # code of others may raise any class
        if (lack := shortage(error)) is not None:
            return _fail(lack, str(lack), lack.exit_code)
        words = " ".join(str(error).split())
        return _fail(error, f"unexpected {type(error).__name__}: {words}", 1, unexpected=True)


def _call(body: Callable[[], int | None], switch: InterruptSwitch) -> int:
    """The exit code of `body`. Raises Interrupted for an error that an interrupt caused.

    A compiler whose callback drops the interrupt, say, misses what the callback should have made.
    """
    try:
        return body() or 0
    except Interrupted:
        raise
    except BaseException:
        switch.raise_again()
        raise
    finally:
        switch.end()


def _fail(error: BaseException, message: str, code: int, *, unexpected: bool = False) -> int:
    from gpu_infer import logs

    line = redact(escape(message))
    in_file = logs.record_failure(line, error if unexpected else None)
    if unexpected and not logs.debugging():
        line += " (--debug shows the traceback; the log file has it)" if in_file else " (--debug shows the traceback)"
    text = f"gpu-infer: error: {line}\n"
    if logs.debugging():
        import traceback

        text += redact("".join(traceback.format_exception(error)))
    streams.write(sys.stderr, text)
    return code


def _flush(code: int) -> int:
    """Flush both streams and return the exit code; a failed flush at interpreter exit would change it to 120."""
    error = streams.write(sys.stdout, "")
    if error is not None and not isinstance(error, BrokenPipeError) and code == 0:
        lack = ResourceError(f"stdout cannot be written: {error.strerror}", remedy="send it to another place")
        return _fail(lack, str(lack), lack.exit_code)
    streams.write(sys.stderr, "")
    return code
