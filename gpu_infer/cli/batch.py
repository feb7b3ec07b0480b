"""`gpu-infer batch`."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import typer

from gpu_infer.cli import batch_options, options
from gpu_infer.cli.run import run
from gpu_infer.cli.shared_options import with_options_of
from gpu_infer.cli.verbosity import console_level

if TYPE_CHECKING:
    from gpu_infer.batch.run_batch import BatchResult


@with_options_of(run)
def batch(
    context: typer.Context,
    paths: batch_options.Paths = None,
    input: batch_options.Input = None,  # noqa: A002
    output: batch_options.Output = None,
    dry_run: batch_options.DryRun = False,
    force: batch_options.Force = False,
    retry_failed: batch_options.RetryFailed = False,
    part: batch_options.PartOption = None,
    parts: batch_options.Parts = None,
    workers: batch_options.Workers = None,
    lanes: batch_options.Lanes = None,
    logs: batch_options.Logs = None,
    json: batch_options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    **_: Any,
) -> None:
    """Segment many volumes: each gets a folder of its name, and those that are done already are skipped."""
    from gpu_infer import logs as logging_setup
    from gpu_infer.cli.batch_settings import batch_choices, batch_folders, batch_job
    from gpu_infer.cli.console import as_json, say_done

    console = console_level(verbose=verbose or debug, quiet=quiet)
    if not (verbose or debug or quiet):
        console = logging.WARNING  # of many cases, the log file has the other lines
    folders = batch_folders(context.params, os.environ)
    job = batch_job(context, folders)
    choices = batch_choices(force=force, retry_failed=retry_failed, part=part, parts=parts)
    from gpu_infer.batch.cases.find import find_cases

    if dry_run:
        logging_setup.configure(None, debug=debug, console=console)
        from gpu_infer.cli.batch_dry_run import dry_run_lines, dry_run_report

        report = dry_run_report(job, find_cases(folders.sources, job.settings), choices)
        say_done(as_json(report) if json else "\n".join(dry_run_lines(report)))
        return
    logging_setup.configure(job.settings.logs, job.settings.config.parent, debug=debug, console=console)
    cases = find_cases(folders.sources, job.settings)
    result = _run(job, cases, choices, bar=not quiet)
    if json:
        say_done(as_json(result.summary))
    elif not quiet:
        from gpu_infer.cli.batch_table import result_lines

        say_done(*result_lines(result, job.output))
    result.raise_failure(job.output)


def _run(job: Any, cases: Any, choices: Any, *, bar: bool) -> BatchResult:
    from gpu_infer.batch.engines.local import LocalEngine
    from gpu_infer.batch.run_batch import run_batch
    from gpu_infer.cli.batch_progress import show_batch

    with show_batch(bar=bar) as watcher:
        return run_batch(job, cases, LocalEngine, watcher, choices)
