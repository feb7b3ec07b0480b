"""`gpu-infer doctor`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_infer.cli import options
from gpu_infer.cli.container import has_container_defaults
from gpu_infer.cli.doctor_settings import settings_for_checks
from gpu_infer.cli.run import run
from gpu_infer.cli.shared_options import with_options_of
from gpu_infer.cli.streams import write
from gpu_infer.errors import escape

if TYPE_CHECKING:
    from gpu_infer.doctor.check import Check

Clean = Annotated[bool, typer.Option("--clean", help="Remove the shared memory and hidden files of killed runs.")]
WarmUp = Annotated[
    bool, typer.Option("--warm-up", help="First compile the kernels of every operation (a minute or two).")
]
Wait = Annotated[
    float, typer.Option("--wait", parser=options.seconds, metavar="SECONDS", help="Time to wait for the server.")
]


@with_options_of(run)
def doctor(
    context: typer.Context,
    clean: Clean = False,
    warm_up: WarmUp = False,
    wait: Wait = 5.0,
    json: options.Json = False,
    debug: options.Debug = False,
    **_options_of_run: Any,
) -> None:
    """Check everything that a run with the same options needs, and suggest a remedy for each fault."""
    from gpu_infer import logs as logging_setup
    from gpu_infer.cli.console import as_json, say, stdout
    from gpu_infer.cli.doctor_screen import show
    from gpu_infer.doctor.check import exit_code
    from gpu_infer.doctor.examine import examine

    # The checks report what a run would log.
    logging_setup.configure(None, debug=debug, console=logging.NOTSET if debug else logging.ERROR)
    settings, refusals = settings_for_checks(context)
    if warm_up:
        _warm_up("auto" if settings is None else settings.device)
    named = [] if settings is None else _named_folders(context.params, {check.name for check in refusals})
    checks = [_printable(check) for check in examine(settings, named, clean=clean, refusals=refusals)]
    if json:
        say(as_json([asdict(check) for check in checks]))
    elif stdout().is_terminal:
        show(checks, not_named=[f"--{name}" for name in ("input", "output") if name not in named])
    else:
        say(*(f"{c.status:<5} {c.name}: {c.found}" + (f" → {c.remedy}" if c.remedy else "") for c in checks))
    code = exit_code(checks)
    if code:
        on_screen = not json and stdout().is_terminal and sys.stderr.isatty()  # with the remedies
        write(sys.stderr, f"gpu-infer: error: doctor: {_failures(checks, short=on_screen)}\n")
        raise typer.Exit(code)


def _warm_up(device: str) -> None:
    from gpu_infer.backends.cpu.numba_variables import check_numba_variables
    from gpu_infer.doctor.host import check_device
    from gpu_infer.doctor.warm_up import warm_up

    check_numba_variables(os.environ)
    backend, _ = check_device(device)
    warm_up(backend, lambda line: write(sys.stderr, f"{line}\n"))


def _failures(checks: list[Check], *, short: bool) -> str:
    """How many checks failed, and the first one in one line, with its remedy unless `short`."""
    failures = [check for check in checks if check.status == "fail"]
    count = f"{len(failures)} of {len(checks)} checks failed"
    first = failures[0]
    if short:
        return f"{count}, the first: {first.name}"
    remedy = f" ({first.remedy})" if first.remedy else ""
    return f"{count}, the first: {first.name}: {first.found}{remedy}"


def _named_folders(options: Mapping[str, Any], refused: Collection[str]) -> list[str]:
    """The folders that an option, a variable or the container names, without those that a run refuses."""
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    by_container = has_container_defaults(os.environ)
    return [
        name
        for name, variable in FOLDER_VARIABLES.items()
        if name not in refused and (by_container or options[name] or os.environ.get(variable))
    ]


def _printable(check: Check) -> Check:
    """The check without characters that change the terminal, and without values of `{VAR}`."""
    details = None if check.details is None else _redacted(check.details)
    return replace(check, found=_line(check.found), remedy=check.remedy and _line(check.remedy), details=details)


def _redacted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return _line(value) if isinstance(value, str) else value


def _line(text: str) -> str:
    from gpu_infer.redaction import redact

    return redact(escape(text))
