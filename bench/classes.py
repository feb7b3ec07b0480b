"""Do 105 classes over 512×512×400 voxels fit? `python -m bench.classes`.

A label volume goes through the operator and a Triton model whose argmax is its input (bench/models/classes105): the
labels must come out as they went in, memory as planned, and the accumulator no larger than the slices of one window,
also at twice the depth. Of shallow volumes it is smaller: it then has the rows of one window along another axis.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from bench.support.addresses import Addresses
from bench.support.measure import peak_of
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds
from gpu_infer.app import run as operate
from gpu_infer.config.load import load_config
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader

MODELS = Path(__file__).parent / "models"
MODEL = "classes105"
CLASSES = 105
PLANE = (512, 512)
SLICES = 32  # of a window
LIMIT_BYTES = 12 << 30
ACCUMULATOR_BYTES = 4 * CLASSES * PLANE[0] * PLANE[1] * SLICES  # float32 sums

CONFIG: dict[str, Any] = {
    "batch_size": 1,
    "pre_transforms": [
        {"name": "LoadNifti", "args": {"fields": "image"}},
        {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
    ],
    "post_transforms": [
        {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
        {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}},
    ],
    "writers": [{"name": "MhdWriter", "args": {"field": "model", "dtype": "uint8"}}],
    "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": MODEL}},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.classes", description=__doc__)
    parser.add_argument("--depth", type=int, default=400)
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.depth, arguments.results)


def run(depth: int = 400, results: Path = RESULTS) -> None:
    """Measure and publish classes.*; RuntimeError if labels or memory are not as expected."""
    with tempfile.TemporaryDirectory() as scratch, LocalServer([MODELS]) as server:
        folder = Path(scratch)
        config = folder / "config_inference.json"
        config.write_text(json.dumps(CONFIG), encoding="utf-8")
        plans = {n: _plan(config, n) for n in (depth, 2 * depth)}
        source = folder / "labels.mhd"
        labels = _labels(depth)
        image = sitk.GetImageFromArray(labels)
        sitk.WriteImage(image, source)
        peak = peak_of(_operator_of, source, folder / "out", config, Addresses.of(server))
        report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
        same = bool(np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(report["output"]["mhd"])), labels))
    spent, planned = report["seconds"], report["memory"]["planned_peak_bytes"]
    accumulators = {n: plan.sizes.slab_accumulator for n, plan in plans.items()}
    result = Result(
        "classes", f"{CLASSES} classes on 512×512×{depth}, roi 192×192×{SLICES}", ["what", "measured", "allowed"]
    )
    result.rows = [
        ["whole run", seconds(spent), ""],
        ["peak memory", mebibytes(peak.peak_bytes), f"{mebibytes(planned)} planned, {mebibytes(LIMIT_BYTES)} in all"],
        *(
            [f"accumulator, depth {n}, planned", mebibytes(size), mebibytes(ACCUMULATOR_BYTES)]
            for n, size in accumulators.items()
        ),
        ["labels come out as they went in", str(same), "True"],
    ]
    result.data = {
        "seconds": spent,
        "stages": report["stages"],
        "tiles": report["tiles"],
        "peak_bytes": peak.peak_bytes,
        "planned_peak_bytes": planned,
        "planned_accumulator_bytes": {str(n): size for n, size in accumulators.items()},
        "labels_equal": same,
    }
    groups = {"peak memory": {"measured": peak.peak_bytes / 2**20, "planned": planned / 2**20}}
    groups["accumulator, planned"] = {f"depth {n}": size / 2**20 for n, size in accumulators.items()}
    result.chart = Chart(groups, "MiB", logarithmic=False, baseline="planned")
    result.publish(results)
    if not same or max(accumulators.values()) > ACCUMULATOR_BYTES or peak.peak_bytes > min(planned, LIMIT_BYTES):
        raise RuntimeError("labels, accumulator or peak memory are not as promised: see the table")


def _operator_of(source: Path, output: Path, config: Path, server: Addresses) -> Any:
    settings = Settings.from_environment(
        {},
        **server.settings(),
        input=source,
        output=output,
        logs=output,
        config=config,
        publish="",
        deadline_s=120.0,
    )
    return lambda: operate(settings)


def _plan(config: Path, depth: int) -> Any:
    """The `gpu_infer.planning.memory_plan.MemoryPlan` of a volume of that depth, without a voxel of it."""
    shape = (*PLANE, depth)
    data = np.broadcast_to(np.uint8(0), (1, *shape))
    path = Path("labels.mhd")
    volume = VolumeHeader(Geometry(shape, np.eye(4)), 1, data.dtype, path, (path,), "metaimage", lambda _: data)
    spec = load_config(config, {})
    settings = Settings.from_environment({}, input="in", output="out", config=config, publish="")
    model = model_in_repository(MODELS, MODEL)
    assert model is not None
    return make_plan(RunInputs(settings, spec, Pipeline(spec.pre, spec.post), volume), model).memory


def _labels(depth: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [K, J, I]: all classes, in blocks that no window border respects."""
    k, j, i = (np.arange(n, dtype=np.uint16) for n in (depth, *PLANE))
    blocks = (i // 7)[None, None, :] * 3 + (j // 11)[None, :, None] * 5 + (k // 3)[:, None, None]
    return (blocks % CLASSES).astype(np.uint8)


if __name__ == "__main__":
    main()
