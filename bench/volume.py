"""Where does the time of a whole run go, and the memory? `python -m bench.volume [--device gpu] [--quick]`.

The operator from file to file on phantoms of five sizes, with Triton models that compute next to nothing (bench/models,
on a GPU bench/models_gpu): 1 mm grid, windows, labels back on the file's grid; the last case has 105 classes. Each case
is a process of its own that runs it twice; the second run counts, as a case after another does. Figures: report.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import ct
from bench.output import RESULTS, Chart, Result, mebibytes, say, seconds
from bench.served import served
from gpu_infer.backends.choose import choose_backend
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings

CLASSES = 105
Shape = tuple[int, int, int]


class CaseFailed(Exception):
    """The operator ended with an error; the text says which."""


@dataclass(frozen=True)
class ServerSeconds:
    """What Triton's statistics count of a model: copying its input together, computing, copying its output away."""

    input: float
    infer: float
    output: float

    def __sub__(self, other: ServerSeconds) -> ServerSeconds:
        return ServerSeconds(self.input - other.input, self.infer - other.infer, self.output - other.output)


@dataclass(frozen=True)
class Case:
    """A phantom of `shape` voxels (I, J, K); labels in, 105 classes out, or a CT in and 2 classes out."""

    shape: Shape
    many: bool = False

    @property
    def name(self) -> str:
        return "×".join(map(str, self.shape)) + (f", {CLASSES} classes" if self.many else "")

    @property
    def model(self) -> str:
        return "classes105" if self.many else "half"

    def config(self, roi: Shape) -> dict[str, Any]:
        """The job's configuration; the model of 105 classes says its window itself."""
        pre = ["LoadNifti", "ConvertToChannelsFirst"]
        inferer: dict[str, Any] = {"model_name": self.model}
        transforms: list[dict[str, Any]] = [{"name": name, "args": {"fields": "image"}} for name in pre]
        if not self.many:
            window = {"a_min": -1500, "a_max": 500, "b_min": 0.0, "b_max": 1.0, "clip": True}
            transforms += [
                {"name": "ScaleByResolution", "args": {"fields": "image", "target_resolution": [1.0, 1.0, 1.0]}},
                {"name": "ScaleIntensityRange", "args": {"fields": "image", **window}},
            ]
            inferer["roi_size"] = list(roi)
        return {
            "batch_size": 1,
            "pre_transforms": transforms,
            "post_transforms": [
                {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
                {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}},
            ],
            "writers": [{"name": "MhdWriter", "args": {"field": "model", "dtype": "uint8"}}],
            "inferer": {"name": "TRTISScanWindowInferer", "args": inferer},
        }

    def write(self, path: Path) -> None:
        """The phantom as uncompressed NIfTI."""
        import nibabel

        if self.many:
            i, j, k = (np.arange(n, dtype=np.uint16) for n in self.shape)
            blocks = (i // 7)[None, None, :] * 3 + (j // 11)[None, :, None] * 5 + (k // 3)[:, None, None]
            image = nibabel.Nifti1Image((blocks % CLASSES).astype(np.uint8).transpose(2, 1, 0), np.eye(4))
        else:
            volume = ct.phantom(self.shape)
            image = nibabel.Nifti1Image(volume.data[0], volume.geometry.affine)
        nibabel.save(image, path)


CASES = (
    Case((256, 256, 256)),
    Case((512, 512, 300)),
    Case((512, 512, 1000)),
    Case((768, 768, 768)),
    Case((512, 512, 512), many=True),
)
QUICK = CASES[:2]
ROI = (160, 160, 96)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.volume", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU where there is one")
    parser.add_argument("--quick", action="store_true", help="the first two cases only")
    parser.add_argument("--shape", type=int, nargs=3, metavar="N", help="one phantom of these voxels instead")
    arguments = parser.parse_args()
    try:
        device = choose_backend(arguments.device or "auto").name
        given = (Case(tuple(arguments.shape)),) if arguments.shape else QUICK if arguments.quick else CASES
        run(device, given)
    except (GpuInferError, CaseFailed) as error:
        sys.exit(f"bench.volume: {error}")


def run(device: str, cases: tuple[Case, ...] = CASES, *, roi: Shape = ROI, folder: Path = RESULTS) -> Result:
    """Measure and publish volume.*; anew after every case, so that a run that is ended leaves what it has."""
    result = Result(
        "volume",
        f"Whole runs from file to file, {device}",
        [
            *("case", "whole", "read", "prepare", "infer", "restore", "write", "model", "server's input"),
            *("server's output", "all but model", "all but model and files"),
            "all but model, files, server's input and output",
            *("host", "GPU"),
        ],
        notes=[
            "Second run of a process. Model, server's input, server's output: compute_infer, compute_input and "
            "compute_output of Triton's statistics. All but model and files: prepare, infer and restore less the "
            "model, passing on included; the next column is less the server's input and output as well. Host, GPU: "
            "peak memory of the operator.",
        ],
    )
    groups: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch, served(choose_backend(device)) as (server, note):
        result.notes.append(note)
        for case in cases:
            say(f"{case.name} …")
            facts = _measured(case, device, Path(scratch), server.grpc, roi)
            stages = facts["stages"]
            result.rows.append(
                [
                    case.name,
                    seconds(facts["seconds"]),
                    *(seconds(stages[name]) for name in ("read", "prepare", "infer", "restore", "write")),
                    *(seconds(facts[name]) for name in ("model_s", "server_input_s", "server_output_s")),
                    f"{facts['non_model_share']:.0%}",
                    seconds(facts["non_model_non_file_s"]),
                    seconds(facts["non_model_non_file_non_copy_s"]),
                    mebibytes(facts["peak_host_bytes"]),
                    "" if facts["peak_device_bytes"] is None else mebibytes(facts["peak_device_bytes"]),
                ]
            )
            result.data.setdefault("cases", {})[case.name] = facts
            named = {**{k: v for k, v in stages.items() if v > 0}, "model": facts["model_s"]}
            groups[case.name] = {k: v for k, v in named.items() if v > 0}
            _keep(result, folder)
    result.chart = Chart(groups, "seconds (logarithmic)")
    result.publish(folder)
    return result


def _keep(result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"title": result.title, "unfinished": True, "notes": result.notes, **result.data}
    (folder / f"{result.name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _measured(case: Case, device: str, folder: Path, url: str, roi: Shape) -> dict[str, Any]:
    """Run one case in a process of its own. CaseFailed where the operator refuses or ends early."""
    source, config, output = folder / "phantom.nii", folder / "config_inference.json", folder / "out"
    case.write(source)
    config.write_text(json.dumps(case.config(roi)), encoding="utf-8")
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, device, source, config, output, url, case.model))
    process.start()
    sender.close()
    try:
        facts: dict[str, Any] | str = receiver.recv()
    except EOFError:
        facts = "the process ended early"
    finally:
        process.join()
        shutil.rmtree(output, ignore_errors=True)
        source.unlink()
    if isinstance(facts, str):
        raise CaseFailed(f"{case.name}: {facts}")
    return facts


def _child(sender: Any, device: str, source: Path, config: Path, output: Path, url: str, model: str) -> None:
    try:
        sender.send(_twice(device, source, config, output, url, model))
    except GpuInferError as error:
        sender.send(str(error))


def _twice(device: str, source: Path, config: Path, output: Path, url: str, model: str) -> dict[str, Any]:
    from gpu_infer.app import run as operate

    settings = Settings.from_environment(
        {"NVIDIA_TRITON_GRPCURI": url},
        input=source,
        output=output,
        logs=output,
        config=config,
        publish="",
        device=device,
    )
    reports = []
    for _ in range(2):
        before = server_seconds(url, model)
        operate(settings)
        spent = server_seconds(url, model) - before
        reports.append(summary(json.loads((output / "report.json").read_text(encoding="utf-8")), spent))
    return {**reports[1], "first_run": reports[0]}


def summary(report: dict[str, Any], spent: ServerSeconds) -> dict[str, Any]:
    """What the table takes from a report.json; peak_device_bytes is None on the CPU."""
    model_s = spent.infer
    stages = report["stages"]
    inside = stages["prepare"] + stages["infer"] + stages["restore"]
    return {
        "device": report["device"],
        "data": report["triton"]["data"],
        "seconds": report["seconds"],
        "stages": stages,
        "model_s": round(model_s, 4),
        "server_input_s": round(spent.input, 4),
        "server_output_s": round(spent.output, 4),
        "non_model_share": round(1 - model_s / report["seconds"], 4),
        "non_model_non_file_s": round(inside - model_s, 4),
        "non_model_non_file_non_copy_s": round(inside - model_s - spent.input - spent.output, 4),
        "windows": report["tiles"]["windows"],
        "peak_host_bytes": report["peak_rss_bytes"],
        "peak_device_bytes": report.get("gpu", {}).get("peak_device_bytes"),
        "planned": report["memory"],
        "gpu": report.get("gpu"),
    }


def server_seconds(url: str, model: str) -> ServerSeconds:
    """What the server has spent on the model so far."""
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(url) as client:
        found = [s.inference_stats for s in client.get_inference_statistics(model).model_stats]
    counted = ("compute_input", "compute_infer", "compute_output")
    return ServerSeconds(*(sum(getattr(s, name).ns for s in found) / 1e9 for name in counted))


if __name__ == "__main__":
    main()
