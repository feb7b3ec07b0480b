"""`gpu-infer run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpu_infer.cli import options

if TYPE_CHECKING:
    from gpu_infer.app import RunResult


def run(
    input: options.Input = None,  # noqa: A002
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
    output: options.Output = None,
    publish: options.Publish = None,
    publish_dialect: options.PublishDialect = None,
    preview: options.Preview = None,
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
    debug: options.Debug = False,
) -> None:
    """Segment one volume. Without an option, its environment variable counts, then the configuration."""
    from gpu_infer.cli.console import as_json, say_done
    from gpu_infer.cli.execute import execute
    from gpu_infer.settings import Settings

    settings = Settings.from_environment(
        os.environ,
        input=input,
        allow_foreign_data_files=allow_foreign_data_files,
        output=output,
        publish=publish,
        publish_dialect=publish_dialect,
        preview=preview,
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
        wait_s=wait,
        deadline_s=deadline,
        device=device,
        mode=mode,
        model_name=model,
        batch_size=batch_size,
        slots=slots,
        slab=slab,
        roi_size=roi,
    )
    result = execute(settings, debug=debug)
    say_done(*([as_json(result.data)] if json else written(result)))


def written(result: RunResult) -> list[str]:
    """The files of a run, one line each."""
    lines = [f"labels   {result.output}"]
    if result.published:
        lines.append(f"publish  {result.published[0].parent}")
    if result.report is not None:
        lines.append(f"report   {result.report}")
    if result.preview is not None:
        lines.append(f"preview  {result.preview}")
    return lines
