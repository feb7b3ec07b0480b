"""`gpu-infer run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gpu_infer.cli import options, output_options
from gpu_infer.cli.command_settings import run_settings
from gpu_infer.cli.verbosity import console_level

if TYPE_CHECKING:
    from gpu_infer.app import RunResult


def run(
    context: typer.Context,
    input: options.Input = None,  # noqa: A002
    first: options.First = None,
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
    series: options.Series = None,
    tilt: options.Tilt = None,
    name: options.Name = None,
    with_identity: options.WithIdentity = None,
    output: options.Output = None,
    format: output_options.Format = None,  # noqa: A002
    publish: output_options.Publish = None,
    publish_dialect: output_options.PublishDialect = None,
    page: output_options.Page = None,
    preview: output_options.Preview = None,
    plain_preview: output_options.PlainPreview = None,
    dicom_seg: output_options.DicomSeg = None,
    dicom_sc: output_options.DicomSc = None,
    dicom_sr: output_options.DicomSr = None,
    rtstruct: output_options.RtStruct = None,
    dicom_reference: output_options.DicomReference = None,
    send: output_options.Send = None,
    scores: output_options.Scores = None,
    uncertainty: output_options.Uncertainty = None,
    scores_format: output_options.ScoresFormat = None,
    scores_dtype: output_options.ScoresDtype = None,
    scores_activation: output_options.ScoresActivation = None,
    statistics: output_options.Statistics = None,
    logs: options.Logs = None,
    config: options.Config = None,
    labels: options.Labels = None,
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
    wait: options.Wait = None,
    deadline: options.Deadline = None,
    device: options.Device = None,
    mode: options.Mode = None,
    model: options.Model = None,
    batch_size: options.BatchSize = None,
    slots: options.Slots = None,
    slab: options.Slab = None,
    roi: options.Roi = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Segment one volume. Without an option, its environment variable counts, then the configuration."""
    from gpu_infer.cli.console import as_json, say_done
    from gpu_infer.cli.execute import execute
    from gpu_infer.cli.label_lines import label_lines

    console = console_level(verbose=verbose or debug, quiet=quiet)
    result = execute(run_settings(context), debug=debug, bar=not quiet, console=console)
    if json:
        say_done(as_json(result.data))
    elif not quiet:
        say_done(*label_lines(result.data), *written(result))


def written(result: RunResult) -> list[str]:
    """Lines that name the files of a run."""
    lines = [f"labels   {path}" for path in result.label_maps]
    if result.published:
        lines.append(f"publish  {result.published[0].parent}")
    if result.page is not None:
        lines.append(f"page     {result.page}")
    if result.report is not None:
        lines.append(f"report   {result.report}")
    lines += [f"preview  {path}" for path in result.previews]
    lines += [f"dicom    {path}" for path in dict.fromkeys(_shown(path) for path in result.dicom)]
    lines += [f"scores   {path}" for path in result.scores]
    lines += [f"numbers  {path}" for path in result.statistics]
    return lines


def _shown(path: Path) -> Path:
    """The file, or the folder of a file of many."""
    return path.parent if path.parent.suffix == ".sc" else path
