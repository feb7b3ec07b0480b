"""report.json: what ran, on which input, with which versions, how long, and the result. docs/report.md lists its keys.

`Report` collects the sections of a run; each section is built by one function below.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer._version import __version__
from gpu_infer.backends.base.backend import Backend
from gpu_infer.config.config import Config, Output
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.planning.memory_plan import MemoryPlan
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.progress import Progress, ProgressCallback, silent
from gpu_infer.redaction import redact, redact_all, reported_path
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.file_hash import FileHash
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.identity import identity
from gpu_infer.volume.millilitres import rounded_ml
from gpu_infer.writers.label_maps import Files
from gpu_infer.writers.reports import write_report

Section = dict[str, Any]

log = logging.getLogger(__name__)

_PATHS = {
    *("case", "input", "output", "outputs", "published", "dicom", "scores", "own_writers"),
    *("started", "versions"),
}
"""Keys of files and facts, which show what is on the disk; in all other keys, a variable's name hides its value."""

PACKAGES = ("numpy", "numba", "SimpleITK", "nibabel", "pydicom", "tritonclient", "pydantic")


class Report:
    """Collects a run's sections; `data` is the content of report.json. Also an `Observer` of `segment`."""

    def __init__(self, progress: ProgressCallback = silent) -> None:
        """progress  receives the events of the run's stages"""
        self.progress = progress
        self.data: Section = {
            "status": "running",
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "stages": {},
            "warnings": [],
        }
        self._start = time.perf_counter()
        self._hash: FileHash | None = None
        self._fallbacks: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and emit its events; the times of a stage that is entered twice are added."""
        self.progress(Progress(name, 0, 1))
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.data["stages"][name] = round(self.data["stages"].get(name, 0.0) + seconds, 4)
        self.progress(Progress(name, 1, 1))

    def add(self, **sections: Any) -> None:
        """Add sections by name; a section that exists already is extended."""
        for name, section in sections.items():
            existing = self.data.get(name)
            if isinstance(existing, dict) and isinstance(section, dict):
                existing.update(section)
            else:
                self.data[name] = section

    def add_facts(self, facts: Mapping[str, Any]) -> None:
        """Add what transforms found, as keys of their own; see `FieldState.facts`."""
        self.data.update(facts)

    def add_warnings(self, messages: Sequence[str]) -> None:
        """Add warnings that the log has already."""
        self.data["warnings"].extend(messages)

    def warn(self, message: str) -> None:
        """Log a warning and add it."""
        log.warning("%s", message)
        self.add_warnings([message])

    def record_plan(self, plan: RunPlan) -> None:
        """Log the plan and its fallbacks, and add them. A second plan adds its fallbacks to those of the first."""
        self._fallbacks += plan.fallbacks
        self.add(
            plan=plan_section(plan, self._fallbacks),
            model=model_section(plan),
            memory=memory_section(plan.memory),
        )
        for line in plan.lines():
            log.info("%s", line)
        for message in plan.fallbacks:
            self.warn(message)

    def record_inference(self, plan: RunPlan, counters: Mapping[str, Any]) -> None:
        """Add the windows of a finished inference, and the counters of its requests."""
        self.add(triton=dict(counters), tiles=windows_section(plan))

    def hash_input(self, header: VolumeHeader) -> None:
        """Start hashing the files of the input in a thread; `finish` adds the digest."""
        self._hash = FileHash(header.files or (header.path,), header.states)
        self._hash.start()

    def wait_for_hash(self) -> None:
        """Wait until the files of `hash_input` are read; warn if they are not those that were segmented."""
        if self._hash is not None and self._hash.digest(wait=True) is None:
            self.warn("the input changed after it was read: the report has no sha256 of it")

    def finish(self, status: str, error: str | None = None) -> None:
        """Add status, error, times and memory, and hide the values of `{VAR}`. The report can be written then."""
        self.data["status"] = status
        if error is not None:
            self.data["error"] = redact(error)
        for key in self.data.keys() - _PATHS:
            self.data[key] = redact_all(self.data[key])
        self.data["seconds"] = round(time.perf_counter() - self._start, 4)
        self.data["peak_rss_bytes"] = peak_resident_bytes()
        if self._hash is not None:
            self.data.setdefault("input", {})["sha256"] = self._hash.digest(wait=status == "done")

    def write(self, folder: Path) -> Path:
        """Write report.json into `folder` as `writers.reports.write_report` does. Raises OSError."""
        return write_report(folder, self.data)


# -- the sections, in the order of report.json ------------------------------------------------------------------


def versions() -> dict[str, str]:
    """`versions`: this package, Python, the platform and the packages that shape the result."""
    section = {"gpu_infer": __version__, "python": platform.python_version(), "platform": _platform()}
    for name in PACKAGES:
        try:
            section[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            section[name] = "not installed"
    return section


def _platform() -> str:
    """What `platform.platform()` returns, which on Linux would start a program to ask for the processor's name."""
    if platform.system() != "Linux":
        return platform.platform()
    name = os.uname()
    return "-".join(filter(None, (name.sysname, name.release, name.machine, "with", "".join(platform.libc_ver()))))


def config_section(config: Config, path: Path) -> Section:
    """`config`: the file, a hash of what has an effect in it, and the keys that have none."""
    return {"path": reported_path(path), "sha256": config.hash(), "ignored": sorted(config.extra)}


def input_section(header: VolumeHeader, *, with_identity: bool = False) -> Section:
    """`input`: the volume's files and header, and the identity in a DICOM header if it may be shown.

    `Report.finish` adds sha256.
    """
    section = header.describe()
    if with_identity and header.format == "dicom":
        section["identity"] = identity(header)
    return section


def triton_section(transport: Transport) -> Section:
    """`triton`: the server and how voxels travel. `Report.record_inference` adds the counters of the requests."""
    server = transport.server
    return {"url": server.url, "version": server.version, "control": server.control, **transport.chosen()}


def plan_section(plan: RunPlan, fallbacks: Sequence[str]) -> Section:
    """`plan`: the stages, every fallback so far, whether strips replace whole arrays, and the parts of the memory."""
    return {
        "stages": plan.inputs.pipeline.describe(),
        "steps": list(fallbacks),
        "strips": plan.strips is not None,
        "memory": plan.memory.lines(),
    }


def model_section(plan: RunPlan) -> Section:
    """`model`: which model answered; of several, the first one, and all of them in `models`."""
    first = _model(plan.model)
    if len(plan.models) == 1:
        return first
    return {**first, "combine": "union" if plan.parts else "mean", "models": _several_models(plan)}


def _several_models(plan: RunPlan) -> list[Section]:
    if plan.parts:
        return [
            {**_model(part.model), "labels": {str(n): final for n, final in enumerate(part.final_labels) if n}}
            for part in plan.parts
        ]
    assert plan.ensemble is not None
    weights = plan.ensemble.weights or [1 / len(plan.models)] * len(plan.models)
    return [{**_model(model), "weight": weight} for model, weight in zip(plan.models, weights, strict=True)]


def _model(model: ModelInfo) -> Section:
    return {"name": model.name, "version": model.version, "platform": model.platform}


def memory_section(memory: MemoryPlan) -> Section:
    """`memory`: the planned peaks in bytes; the device's only with a GPU."""
    section = {"planned_peak_bytes": memory.host_peak}
    if memory.placement.gpu:
        section["planned_device_peak_bytes"] = memory.device_peak
    return section


def windows_section(plan: RunPlan) -> Section:
    """`tiles`: the grid of windows and how they were inferred."""
    knobs, device = plan.memory.knobs, "gpu" if plan.memory.placement.gpu else "cpu"
    if (inferer := plan.inputs.config.own_inferer) is not None:
        return {
            "roi": list(plan.fit.window),
            "grid": list(plan.grid.shape),
            "mode": "own",
            "inferer": inferer.label,
            "batch": knobs.batch,
            "slots": knobs.slots,
        }
    grids = [part.grid for part in plan.parts] or [plan.grid]
    return {
        "windows": sum(len(grid.windows) for grid in grids),
        "inferred": sum(len(grid.visits) for grid in grids),
        "roi": list(plan.fit.window),
        "grid": list(plan.grid.shape),
        "mode": plan.grid.mode,
        "mode_settings": plan.mode.settings,
        "batch": knobs.batch,
        "slots": knobs.slots,
        "slab": knobs.slab,
        "accumulator": "host" if knobs.host_sums else device,
    }


def output_sections(
    outputs: Sequence[Output],
    files: Mapping[str, Files],
    counts: Mapping[str, Sequence[int]],
    geometry: Geometry | None,
    table: LabelTable,
) -> Section:
    """`output`, `labels` and `outputs`: the label maps. The first two repeat the first map, also if it is the only one.

    files     by output field and format; `mhd` and `raw` are of the .mhd, if there is one
    counts    by output field: voxels of each label
    geometry  of all maps; None in index space, whose voxels have no volume
    table     names of the labels
    """
    voxel_ml = None if geometry is None else abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000.0
    described: list[Section] = []
    for output in outputs:
        by_format = files[output.field]
        described.append(
            {
                "field": output.field,
                **dict(zip(("mhd", "raw"), map(reported_path, by_format.get("mhd", ())), strict=False)),
                "files": [{"format": each, "path": reported_path(paths[0])} for each, paths in by_format.items()],
                "dtype": str(output.dtype),
                "labels": label_volumes(counts[output.field], voxel_ml, table),
            }
        )
    first = described[0]
    return {
        "output": {key: first[key] for key in ("mhd", "raw", "files", "dtype") if key in first},
        "labels": first["labels"],
        "outputs": described,
    }


def label_volumes(counts: Sequence[int], voxel_ml: float | None, table: LabelTable) -> Section:
    """{label: {"name", "colour", "voxels", "ml"}} of the labels that occur, background included; no default names."""
    volumes: Section = {}
    for label, count in enumerate(counts):
        if count:
            described = _described(table[label]) if table.is_described(label) else {}
            ml = None if voxel_ml is None else rounded_ml(int(count) * voxel_ml)
            volumes[str(label)] = {**described, "voxels": int(count), "ml": ml}
    return volumes


def _described(label: Label) -> Section:
    """What the configuration says about a label."""
    return {"name": label.name, "colour": "#{:02x}{:02x}{:02x}".format(*label.colour)}


def gpu_section(backend: Backend, pipeline: Pipeline, memory: MemoryPlan) -> Section:
    """`gpu`: the counters of a GPU; empty on the CPU."""
    section: Section = dict(backend.counters())
    # the CPU backend counts no ties; it decides the labels if the sums are on the host
    # neither does the threshold that makes masks if their scores are wanted, too
    decided_elsewhere = memory.knobs.host_sums and pipeline.finalizer != "scores"
    if section and (not pipeline.counts_ties or decided_elsewhere or _masks_have_scores(pipeline, memory)):
        section["tied_voxels"] = None
    return section


def _masks_have_scores(pipeline: Pipeline, memory: MemoryPlan) -> bool:
    return pipeline.finalizer == "masks" and memory.sizes.scores > 0


def peak_resident_bytes() -> int:
    """`peak_rss_bytes`: this process's own peak; `ru_maxrss` would start from the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
