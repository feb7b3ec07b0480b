"""`gpu-infer doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_infer.cli import options
from gpu_infer.cli.command_settings import settings_of
from gpu_infer.cli.streams import write
from gpu_infer.errors import escape

if TYPE_CHECKING:
    from gpu_infer.doctor.check import Check

Clean = Annotated[bool, typer.Option("--clean", help="Remove the shared memory and hidden files of killed runs.")]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    context: typer.Context,
    clean: Clean = False,
    input: options.Input = None,  # noqa: A002
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
    series: options.Series = None,
    output: options.Output = None,
    publish: options.Publish = None,
    logs: options.Logs = None,
    config: options.Config = None,
    triton: options.Triton = None,
    models: options.Models = None,
    control: options.Control = None,
    data: options.Data = None,
    require: options.Require = None,
    tls_ca: options.TlsCa = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    headers: options.Headers = None,
    load: options.Load = None,
    model: options.Model = None,
    roi: options.Roi = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for the server.")] = 5.0,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check installation, folders, shared memory, GPU and server, and suggest a remedy for each fault."""
    from gpu_infer import logs as logging_setup
    from gpu_infer.cli.console import as_json, say
    from gpu_infer.doctor.check import exit_code
    from gpu_infer.doctor.examine import examine

    logging_setup.configure(None, debug=debug)
    checks = examine(settings_of(context), _named_folders(context.params), clean=clean)
    checks = [replace(c, found=_line(c.found), remedy=c.remedy and _line(c.remedy)) for c in checks]
    if json:
        say(as_json([asdict(check) for check in checks]))
    else:
        _table(checks)
    code = exit_code(checks)
    if code:
        write(sys.stderr, f"gpu-infer: error: doctor: {_failures(checks)}\n")
        raise typer.Exit(code)


def _failures(checks: list[Check]) -> str:
    """The first failure, and how many there are, in one line."""
    failures = [check for check in checks if check.status == "fail"]
    first = failures[0]
    remedy = f" ({first.remedy})" if first.remedy else ""
    return f"{len(failures)} of {len(checks)} checks failed, the first: {first.name}: {first.found}{remedy}"


def _named_folders(options: Mapping[str, Any]) -> list[str]:
    """The folders that an option or a variable names."""
    from gpu_infer.settings import FOLDER_VARIABLES

    return [name for name, variable in FOLDER_VARIABLES.items() if options[name] or os.environ.get(variable)]


def _line(text: str) -> str:
    from gpu_infer.redaction import redact

    return redact(escape(text))


def _table(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from gpu_infer.cli.console import say, stdout

    console = stdout()
    if not console.is_terminal:
        say(*(f"{c.status:<5} {c.name}: {c.found}" + (f" → {c.remedy}" if c.remedy else "") for c in checks))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(check.name, Text(check.status, style=_COLOURS[check.status]), check.found, check.remedy or "")
    console.print(table, soft_wrap=False)
