"""`gpu-infer doctor`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_infer.cli import options
from gpu_infer.errors import escape

if TYPE_CHECKING:
    from gpu_infer.doctor.check import Check

Clean = Annotated[bool, typer.Option("--clean", help="Remove the shared memory and hidden files of killed runs.")]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    clean: Clean = False,
    input: options.Input = None,  # noqa: A002
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
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
    from gpu_infer.settings import Settings

    logging_setup.configure(None, debug=debug)
    settings = Settings.from_environment(
        os.environ,
        input=input,
        allow_foreign_data_files=allow_foreign_data_files,
        output=output,
        publish=publish,
        logs=logs,
        config=config,
        triton=triton,
        models=models,
        control=control,
        data=data,
        require=require,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        headers=headers,
        load_model=load,
        model_name=model,
        roi_size=roi,
        wait_s=wait,
    )
    options_given = {"input": input, "output": output, "publish": publish, "logs": logs}
    variables = {
        "input": "NVIDIA_CLARA_INPUT",
        "output": "NVIDIA_CLARA_OUTPUT",
        "publish": "NVIDIA_CLARA_PUBLISHING",
        "logs": "NVIDIA_CLARA_LOGS",
    }
    named = [name for name, given in options_given.items() if given or os.environ.get(variables[name])]
    checks = examine(settings, named, clean=clean)
    checks = [replace(c, found=_line(c.found), remedy=c.remedy and _line(c.remedy)) for c in checks]
    if json:
        say(as_json([asdict(check) for check in checks]))
    else:
        _table(checks)
    code = exit_code(checks)
    if code:
        raise typer.Exit(code)


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
