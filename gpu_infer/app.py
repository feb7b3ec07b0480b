"""The operator: one volume in, one segmentation out. Owns the order of the stages and their timings."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.pending import PendingBackend, begin_backend
from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.connect import server_address
from gpu_infer.errors import ConfigError, GpuInferError, Interrupted
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, Finalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.planning.run_plan import Job, check_stored, model_name, narrowed, plan_job
from gpu_infer.progress import Progress, ProgressCallback, silent
from gpu_infer.report import Report, label_volumes
from gpu_infer.settings import Settings
from gpu_infer.slots import open_slots
from gpu_infer.system.folder_variables import check_folder_variables
from gpu_infer.system.resources import resource_folder
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.reconnect import try_again
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport, choose_transport, data_choices
from gpu_infer.volume.channels import choose_files
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import base_name, check_exists
from gpu_infer.volume.read import read_header, read_voxels
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.collisions import check_folders, check_outputs
from gpu_infer.writers.folders import still_there
from gpu_infer.writers.label_maps import write_label_maps
from gpu_infer.writers.metaimage import check_folder

log = logging.getLogger(__name__)


@dataclass
class RunResult:
    """The files of a run and the data of its report."""

    output: Path
    raw: Path
    report: Path | None
    data: dict[str, Any]
    published: list[Path] = field(default_factory=list)
    preview: Path | None = None


def run(settings: Settings, progress: ProgressCallback | None = None) -> RunResult:
    """Run the operator once.

    Writes `<name>.mhd` and `<name>.raw` into the output folder (`<name>.<field>.*` for several fields), the publish
    folder when one is set, and report.json into the logs folder (also when the run fails). Raises GpuInferError;
    nothing half-written stays behind.
    """
    report = Report()
    try:
        with ExitStack() as stack:
            result = _Operator(settings, report, stack, progress or silent).run()
        report.finish("done")
    except SystemExit as end:  # only code that the configuration names ends the process
        refusal = ConfigError(
            f"code that the configuration names called sys.exit({end.code!r})",
            remedy="a component raises an exception to fail",
        )
        report.finish("failed", str(refusal))
        _write_report(report, settings.logs)
        raise refusal from end
    except BaseException as error:
        report.finish("failed", str(error) if isinstance(error, GpuInferError) else repr(error))
        _write_report(report, settings.logs)
        raise
    result.report = _write_report(report, settings.logs)
    return result


class _Operator:
    """One run's stages over the state they share."""

    def __init__(self, settings: Settings, report: Report, stack: ExitStack, progress: ProgressCallback) -> None:
        self._settings = settings
        self._report = report
        self._stack = stack
        self._progress = progress

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._progress(Progress(name, 0, 1))
        with self._report.stage(name):
            yield
        self._progress(Progress(name, 1, 1))

    def _warn(self, message: str) -> None:
        log.warning("%s", message)
        self._report.warn(message)

    def run(self) -> RunResult:
        settings, data = self._settings, self._report.data
        for message in settings.warnings:
            self._warn(message)
        with self._stage("configure"):
            check_folder_variables(os.environ)
            config = load_config(settings.config, os.environ)
            config.inferer.check_options(  # what contradicts the configuration is refused before any waiting
                mode=settings.mode, roi_size=settings.roi_size, batch_size=settings.batch_size, slots=settings.slots
            )
            pipeline = config.pipeline()
            choices = data_choices(settings.data, settings.require)
            pending = self._stack.enter_context(begin_backend(settings.device))
            check_folders(settings.output, settings.publish)
            check_exists(settings.input)  # what is in it is read once the server is there
            _make_folder(settings.output)
        data["config"] = {
            "path": str(settings.config),
            "sha256": config.hash(),
            "ignored": sorted(config.extra),
        }
        for message in config.warnings:
            self._warn(message)

        with self._stage("connect"):
            server = self._connect(config, pending)

        with self._stage("read"):
            files = choose_files(settings.input, pipeline.input_files)
            path = files[0]
            header = read_header(files, allow_foreign=settings.allow_foreign_data_files)
            data["input"] = header.describe()
            for message in header.warnings:  # logged by the reader, with the file's name
                self._report.warn(message)
            check_stored(header.nbytes + header.extra - header.held, path)
            check_outputs(
                header,
                list(pipeline.outputs),
                settings.output,
                settings.publish,
                _render_settings(settings.config),
                preview=settings.preview,
            )

        with self._stage("device"):
            backend = pending.result()
            backend.start_run()  # the GPU's memory and kernels outlive a run, its counters do not
            again = partial(
                try_again,
                server=server,
                model=model_name(config, settings),
                version=config.inferer.model_version or "",
                wait_s=settings.wait_s,
            )
            transport = again(lambda: choose_transport(server, backend, choices))
        data["device"] = backend.name
        data["triton"] = {
            "url": server.url,
            "version": server.version,
            "control": server.control,
            **transport.chosen(),
        }

        with self._stage("plan"):
            job = again(lambda: plan_job(config, pipeline, settings, header, transport, backend))
        data["triton"] |= transport.chosen()
        data["plan"] = {"stages": pipeline.describe(), "steps": []}
        data["model"] = {"name": job.model.name, "version": job.model.version, "platform": job.model.platform}
        for line in pipeline.describe():
            log.info("%s", line)
        self._tell(job)
        backend.reserve(job.load.device_peak - job.load.device_block, beside=job.load.device_block)

        with self._stage("read"):  # the plan has room for the voxels
            volume = read_voxels(header, nan=pipeline.nan)
            self._report.hash_files(volume.files or (path,))
        data["input"]["dtype"] = str(volume.dtype)
        for message in volume.warnings[len(header.warnings) :]:
            self._report.warn(message)

        labels, counts = self._segment(config, job, pipeline, header, volume, transport, backend)

        with self._stage("write"):
            maps = {output.field: (labels[output.field], output.dtype) for output in config.outputs}
            with still_there(settings.output):
                written = write_label_maps(maps, volume.geometry, settings.output, base_name(path))
        voxel_ml = abs(float(np.linalg.det(volume.geometry.affine[:3, :3]))) / 1000.0
        described = []
        for output in config.outputs:
            mhd, raw = written[output.field]
            log.info("wrote %s", mhd)
            described.append(
                {
                    "field": output.field,
                    "mhd": str(mhd),
                    "raw": str(raw),
                    "dtype": str(output.dtype),
                    "labels": label_volumes(counts[output.field], voxel_ml),
                }
            )
        # the first output keeps its place in the report, also where it is the only one
        data["output"] = {key: described[0][key] for key in ("mhd", "raw", "dtype")}
        data["labels"] = described[0]["labels"]
        data["outputs"] = described
        if counters := backend.counters():
            data["gpu"] = dict(counters)
            # the CPU backend, which takes the sums where they are on the host, counts none
            if not pipeline.counts_ties or (job.load.host_sums and pipeline.finalizer != "scores"):
                data["gpu"]["tied_voxels"] = None

        first = config.outputs[0].field
        result = RunResult(output=written[first][0], raw=written[first][1], report=None, data=data)
        self._show(result, [mhd for mhd, _ in written.values()], job, volume, labels[first])
        return result

    def _connect(self, config: Config, pending: PendingBackend) -> Server:
        settings = self._settings
        if settings.local_models is not None:
            from gpu_infer.triton.local.serve import LocalServer

            server = self._stack.enter_context(LocalServer(settings.local_models))
            endpoints, control = Endpoints(http=server.http, grpc=server.grpc), str(settings.control)
        else:
            endpoints, control = server_address(settings, config.inferer)
        return Server.connect(endpoints, control, wait_s=settings.wait_s, check=pending.raise_failure)

    def _segment(
        self,
        config: Config,
        job: Job,
        pipeline: Pipeline,
        header: VolumeHeader,
        volume: Volume,
        transport: Transport,
        backend: Backend,
    ) -> tuple[dict[str, Any], dict[str, list[int]]]:
        """By output field: labels [I, J, K] on the input's own grid, on the host, and how many voxels have each."""
        settings, data = self._settings, self._report.data
        with self._stage("prepare"):
            fields = pipeline.prepare(volume, backend, job.model.input.dtype)
            prepared = fields[pipeline.input_field].array
            if pipeline.grid_decided_by_voxels:
                job = narrowed(job, config, pipeline, settings, header, fields[pipeline.input_field].shape)
        with self._stage("infer"):
            ring, planned = try_again(
                lambda: open_slots(job, transport, backend, settings.deadline_s, settings.wait_s),
                server=transport.server,
                model=job.model.name,
                version=job.model.version,
                wait_s=settings.wait_s,
            )
            with ring:
                if planned is not job:
                    self._tell(job := planned)
                # no name is kept for what only later transforms may hold
                pipeline.accept(self._infer(job, pipeline, volume, prepared, ring, backend), fields)
                prepared = None
        data["tiles"] = {
            "windows": len(job.grid.windows),
            "inferred": len(job.grid.visits),
            "roi": list(job.fit.window),
            "grid": list(job.grid.shape),
            "mode": job.grid.mode,
            "mode_settings": job.mode.settings,
            "batch": job.load.batch,
            "slots": job.load.slots,
            "slab": job.load.slab,
            "accumulator": "host" if job.load.host_sums else backend.name,
        }
        with self._stage("restore"):
            labels = pipeline.deliver(fields, backend)
            data.update(fields[pipeline.input_field].facts)
            # counted where the labels lie: a GPU takes less than a millisecond, and the host a quarter of a second
            counts = {name: backend.histogram(array).tolist() for name, array in labels.items()}
            return {name: backend.download(array) for name, array in labels.items()}, counts

    def _tell(self, job: Job) -> None:
        """Log the plan and note it in the report."""
        data = self._report.data
        data["plan"] |= {"memory": job.load.lines(), "steps": [*data["plan"]["steps"], *job.steps]}
        data["memory"] = {"planned_peak_bytes": job.load.peak}
        if job.load.gpu:
            data["memory"]["planned_device_peak_bytes"] = job.load.device_peak
        for line in job.lines():
            log.info("%s", line)
        for message in job.steps:
            self._warn(message)

    def _infer(
        self, job: Job, pipeline: Pipeline, volume: Volume, prepared: Any, ring: SlotRing, backend: Backend
    ) -> Any:
        """Labels or scores on the model's grid, on `backend`; the sums are given back when it returns."""
        summing = choose_backend("cpu") if job.load.host_sums else backend
        finalizer: Finalizer
        if pipeline.finalizer == "argmax":
            finalizer = ArgmaxFinalizer(summing, job.grid, job.fit.channels_out)
        elif pipeline.finalizer == "masks":
            finalizer = MaskFinalizer(summing, job.grid, pipeline.cuts(job.fit.channels_out))
        else:
            finalizer = ScoreFinalizer(summing, job.grid, job.fit.channels_out)
        accumulator = Accumulator(
            summing,
            job.grid,
            job.fit.channels_out,
            finalizer,
            slab=job.load.slab,
            importance=job.mode.importance(job.fit.window),
            device=backend if job.load.host_sums else None,
        )
        result = scan_window(
            prepared,
            job.grid,
            ring,
            accumulator,
            backend,
            batch=job.load.batch,
            fill=job.mode.cval,
            progress=self._progress,
        )
        self._report.data["triton"].update(ring.counters())
        if nans := summing.take_nan_scores():
            self._warn(explain_nan_scores(nans, job, volume))
        return result

    def _show(self, result: RunResult, masks: list[Path], job: Job, volume: Volume, labels: Any) -> None:
        """Publish folder and preview. A failure here is a warning: the segmentation is already written."""
        settings = self._settings
        if settings.publish is not None:
            from gpu_infer.writers.publish import publish

            with self._stage("publish"):
                try:
                    result.published = publish(
                        volume,
                        masks,
                        job.model.name,
                        settings.publish,
                        _render_settings(settings.config),
                        dialect=settings.publish_dialect,
                    )
                except Interrupted:
                    raise
                except (GpuInferError, OSError) as error:
                    self._warn(f"publishing to {settings.publish} failed: {error}")
            result.data["published"] = [str(path) for path in result.published]
        if settings.preview:
            from gpu_infer.writers.preview import write_preview

            with self._stage("preview"):
                path = settings.output / "preview.png"
                try:
                    result.preview = write_preview(volume, labels, path)
                except Interrupted:
                    raise
                except (GpuInferError, OSError) as error:
                    self._warn(f"preview {path} failed: {error}")


def _write_report(report: Report, folder: Path) -> Path | None:
    try:
        return report.write(folder)
    except OSError as error:
        log.warning("report.json could not be written to %s: %s", folder, error)
        return None


def _render_settings(config: Path) -> Path:
    """config_render.json beside the configuration, else the packaged one."""
    beside = config.parent / "config_render.json"
    return beside if beside.is_file() else resource_folder("config") / "config_render.json"


def _make_folder(folder: Path) -> None:
    """Make the output folder where it is missing, and find out before any work whether it can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made: {error.strerror}", remedy="give an output folder that this user may write to"
        ) from error
    check_folder(folder)
