"""Jobs of tests: a configuration, one case, and what a run of it reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operator_helpers import config, write_config

from gpu_infer.batch.case import Case
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import done_record, write_record
from gpu_infer.settings import Settings


def make_job(root: Path, **options: Any) -> BatchJob:
    """A batch of `root/in` into `root/out`."""
    (root / "in").mkdir(parents=True, exist_ok=True)
    path = write_config(root / "config", config("threshold_half", roi_size=[8, 8, 8]))
    settings = Settings.from_environment({}, input=root / "in", output=root / "out", config=path, **options)
    return BatchJob(settings)


def make_case(root: Path, name: str = "a", content: bytes = b"voxels") -> Case:
    """A case whose input, a file, has `content`."""
    path = root / "in" / f"{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Case(name, (path,))


def write_done(job: BatchJob, case: Case, looks: list[dict[str, Any]], sha256: str, files: list[Path]) -> None:
    """The case.json of a run that read `files` and wrote one output."""
    folder = job.case_folder(case)
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{case.id}.mhd"
    output.touch()
    report = {
        "input": {"files": [str(file) for file in files], "path": str(case.inputs[0]), "sha256": sha256},
        "model": {"name": "threshold_half", "version": "1"},
    }
    labels = {"1": {"name": "liver", "ml": 1.5, "voxels": 1500}}
    outcome = Outcome(case.id, "done", seconds=2.0, labels=labels, report=report)
    write_record(folder, done_record(case, job_key(job), outcome, looks, [output], folder))
