"""`gpu-infer batch`."""

from __future__ import annotations

import logging
import os
from typing import Any

import typer

from gpu_infer.cli import batch_options, options
from gpu_infer.cli.batch_engine import check_scheduler, engine_of
from gpu_infer.cli.batch_metrics import metrics_of_batch
from gpu_infer.cli.run import run
from gpu_infer.cli.shared_options import with_options_of
from gpu_infer.cli.verbosity import console_level


@with_options_of(run, without=["first"])
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
    scheduler: batch_options.Scheduler = None,
    metrics_port: batch_options.MetricsPort = None,
    metrics_host: batch_options.MetricsHost = None,
    metrics_file: batch_options.MetricsFile = None,
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
    check_scheduler(context.params)
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
    from gpu_infer.batch.run_batch import run_batch
    from gpu_infer.cli.batch_progress import show_batch

    cases = find_cases(folders.sources, job.settings)
    engine = engine_of(scheduler)
    with metrics_of_batch(metrics_port, metrics_host, metrics_file) as count, show_batch(bar=not quiet) as watcher:
        result = run_batch(job, cases, engine, count(watcher), choices)
    if json:
        say_done(as_json(result.summary))
    elif not quiet:
        from gpu_infer.cli.batch_table import result_lines

        say_done(*result_lines(result, job.output))
    result.raise_failure(job.output)
