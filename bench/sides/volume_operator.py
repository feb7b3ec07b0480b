"""The operator's side of a case of bench.volume: one process runs it twice, and the second run counts."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

from bench.sides.volume_case import Case, Shape
from bench.sides.volume_facts import timed_run
from bench.support.addresses import Addresses
from bench.support.measure import process_seconds
from bench.support.server_time import ServerSeconds, server_seconds
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings


class CaseFailed(Exception):
    """The operator ended with an error, the text of this exception."""


def operator_side(
    case: Case, source: Path, output: Path, device: str, server: Addresses, roi: Shape
) -> tuple[dict[str, Any], Path]:
    """The figures of a run, with those of the one before as `first_run`, and the .mhd of its labels in `output`.

    CaseFailed if the operator refuses or ends early.
    """
    output.mkdir()
    config = output / "config_inference.json"
    config.write_text(json.dumps(case.config(roi)), encoding="utf-8")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, device, source, config, output, server, case.model))
    process.start()
    sender.close()
    try:
        facts: dict[str, Any] | str = receiver.recv()
    except EOFError:
        facts = "the process ended early"
    finally:
        process.join()
    if isinstance(facts, str):
        raise CaseFailed(f"{case.name}: {facts}")
    return facts, Path(facts.pop("labels"))


def _child(sender: Any, device: str, source: Path, config: Path, output: Path, server: Addresses, model: str) -> None:
    try:
        sender.send(_twice(device, source, config, output, server, model))
    except GpuInferError as error:
        sender.send(str(error))


def _twice(device: str, source: Path, config: Path, output: Path, server: Addresses, model: str) -> dict[str, Any]:
    from gpu_infer.app import run as operate

    settings = Settings.from_environment(
        {},
        **server.settings(),
        input=source,
        output=output,
        logs=output,
        config=config,
        publish="",
        device=device,
    )
    runs = []
    for _ in range(2):
        before = server_seconds(server.grpc, model)
        operate(settings)
        spent = server_seconds(server.grpc, model) - before
        report = json.loads((output / "report.json").read_text(encoding="utf-8"))
        runs.append(summary(report, spent))
        runs[0].setdefault("process_s", round(process_seconds(), 4))
    return {**runs[1], "counted": "second run", "first_run": runs[0], "labels": report["output"]["mhd"]}


def summary(report: dict[str, Any], spent: ServerSeconds) -> dict[str, Any]:
    """What the table takes from a report.json; peak_device_bytes is None on the CPU."""
    return {
        "device": report["device"],
        "control": report["triton"]["control"],
        "data": report["triton"]["data"],
        **timed_run(report["seconds"], report["stages"], spent),
        "windows": report["tiles"]["windows"],
        "peak_host_bytes": report["peak_rss_bytes"],
        "peak_device_bytes": report.get("gpu", {}).get("peak_device_bytes"),
        "planned": report["memory"],
        "gpu": report.get("gpu"),
    }
