"""`gpu-infer batch --dry-run`: the cases, what there is to do for each, and the memory plan of each shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpu_infer.batch.case import Case
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.run_batch import BatchChoices
from gpu_infer.errors import GpuInferError

if TYPE_CHECKING:
    from gpu_infer.config.config import Config

Report = dict[str, Any]


def dry_run_report(job: BatchJob, cases: Sequence[Case], choices: BatchChoices) -> Report:
    """Look at the state of each case, and at the header of each one that would run. Needs no server.

    Returns `cases`: id, inputs, state, and shape or error; `plans`: lines of the plan by shape.
    """
    from gpu_infer.batch.job_key import job_key
    from gpu_infer.batch.state import decide
    from gpu_infer.planning.dry_run import plan
    from gpu_infer.session.checks import configure

    config, _ = configure(job.settings)
    key = job_key(job)
    rows: list[Report] = []
    plans: dict[str, list[str]] = {}
    for case in cases if choices.part is None else choices.part.cases(cases):
        decision = decide(job, case, key, force=choices.force, retry_failed=choices.retry_failed)
        row: Report = {"id": case.id, "inputs": [str(path) for path in case.inputs], "state": decision.state}
        if decision.state == "todo":
            try:
                row["shape"] = _shape(job, case, config)
                if row["shape"] not in plans:
                    plans[row["shape"]] = plan(job.case_settings(case), case.inputs[0], job.settings.local_models)
            except GpuInferError as error:
                row["error"] = str(error)
        rows.append(row)
    return {"cases": rows, "plans": plans}


def dry_run_lines(report: Report) -> list[str]:
    """The report as text: a line for each case, then the plans."""
    lines = []
    for row in report["cases"]:
        what = row.get("error") or row.get("shape", "")
        lines.append(f"{row['state']:<7} {row['id']}: {', '.join(row['inputs'])}{f'  {what}' if what else ''}")
    for shape, plan in report["plans"].items():
        lines += ["", f"{shape}:", *(f"  {line}" for line in plan)]
    states = [row["state"] for row in report["cases"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("todo", "done", "failed") if state in states)
    return [*lines, "", f"{len(states)} cases: {counts or 'none'}"]


def _shape(job: BatchJob, case: Case, config: Config) -> str:
    """Voxels, spacing and dtype, on which the plan depends."""
    from gpu_infer.planning.run_inputs import input_options
    from gpu_infer.volume.geometry import format_shape
    from gpu_infer.volume.open_input import open_input

    settings = job.case_settings(case)
    with open_input(settings.input, input_options(settings, config, config.pipeline())) as header:
        spacing = "×".join(f"{value:.3g}" for value in header.geometry.spacing)
        return f"{format_shape(header.geometry.shape)} voxels of {spacing} mm, {header.channels} × {header.dtype}"
