"""Runs over a file in both ways: the whole volume in memory, and strip by strip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from local_ring import LocalRing
from numpy.typing import NDArray
from planned_runs import model_of

from gpu_infer import slot_rings
from gpu_infer.backends.base.backend import Backend
from gpu_infer.config.load import load_config
from gpu_infer.planning import strips
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import RunPlan, make_plan
from gpu_infer.progress import Progress
from gpu_infer.segment import Segmentation, segment
from gpu_infer.segment_strips import segment_strips
from gpu_infer.settings import Settings
from gpu_infer.slot_rings import SlotRings
from gpu_infer.transforms.chain.strips import StripChain
from gpu_infer.volume.geometry import Geometry, Shape3
from gpu_infer.volume.read import read_header, read_voxels
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.metaimage import write_metaimage

ORIENTATIONS = [(axes, flips) for axes in permutations(range(3)) for flips in product((1, -1), repeat=3)]


class Transport:
    control, server, data = "grpc", None, "system_shm"


class Observer:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def progress(self, event: Progress) -> None: ...

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        yield

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def record_plan(self, plan: RunPlan) -> None: ...

    def record_inference(self, plan: RunPlan, counters: dict[str, Any]) -> None: ...


def three_classes(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, 1, …] → [N, 3, …]: scores that depend on the place in the window and have many bits."""
    _, _, r0, r1, r2 = tiles.shape
    i, j, k = np.meshgrid(np.arange(r0), np.arange(r1), np.arange(r2), indexing="ij")
    x = tiles[:, 0] / np.float32(7)
    with np.errstate(invalid="ignore"):  # of an infinite voxel
        scores = [np.sin(x + i / 3), np.cos(x - j / 5), np.sin(2 * x) + 0.1 * np.cos(k)]
    return np.stack(scores, axis=1).astype(np.float32)


def one_class(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    return three_classes(tiles)[:, :1]


class Ring(LocalRing):
    """A slot ring whose model runs in this process."""

    def __init__(self, transport: Any, model: Any, *, slots: int, batch: int, channels_in: int, **options: Any) -> None:
        classes = options["channels_out"]
        super().__init__(three_classes if classes == 3 else one_class, slots, batch, channels_in, options["window"])

    def counters(self) -> dict[str, Any]:
        return {"requests": self.requests}

    def close(self, *, failed: bool = False) -> None: ...


def affine_of(axes: Sequence[int], flips: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float64]:
    """The stored axis n runs along the world's axis axes[n]."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (world, sign) in enumerate(zip(axes, flips, strict=True)):
        affine[world, stored] = sign * spacing[stored]
    return affine


def write_volume(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    """A .mhd with its .raw, a NIfTI file, or by ITK a compressed .nrrd or .mha."""
    if path.suffix in (".nrrd", ".mha"):
        image = sitk.GetImageFromArray(voxels.T)
        spacing, origin, direction = Geometry(voxels.shape, affine).to_itk()
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction)
        sitk.WriteImage(image, path, useCompression=True)
        return path
    if path.suffix == ".mhd":
        return write_metaimage(voxels, Geometry(voxels.shape, affine), path.parent, path.stem)[0]
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def inputs_of_file(
    path: Path,
    *,
    pre: Sequence[dict[str, Any]] = (),
    post: Sequence[dict[str, Any]] | None = None,
    options: dict[str, Any] | None = None,
    load: dict[str, Any] | None = None,
    **inferer: Any,
) -> RunInputs:
    """A run over a file: load, `pre`, inference, argmax and restore or `post`."""
    config_path = path.parent / "config_inference.json"
    restore = {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}}
    content = {
        "pre_transforms": [
            {"name": "LoadNifti", "args": {"fields": "image", **(load or {})}},
            {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
            *pre,
        ],
        "post_transforms": [{"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}, restore]
        if post is None
        else list(post),
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
        "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": "many", **inferer}},
    }
    config_path.write_text(json.dumps(content), encoding="utf-8")
    config = load_config(config_path, {})
    folder = path.parent
    folders = {"input": path, "output": folder / "out", "logs": folder / "logs", "publish": ""}
    settings = Settings.from_environment({}, config=config_path, **(folders | (options or {})))
    return RunInputs(settings, config, config.pipeline(), read_header([path]))


def plans_of(inputs: RunInputs, window: Shape3, classes: int = 3, batch: int = 2) -> tuple[RunPlan, RunPlan]:
    """Of the whole volume, and in strips. `strips.LARGE_VOXELS` has to be 0."""
    whole = make_plan(inputs, model_of(classes, window, max_batch=batch))
    assert strips.strips_refusal(inputs) == ""
    assert strips.window_refusal(whole.grid, whole.fit) == ""
    chain = strips.strip_chain(inputs)
    assert isinstance(chain, StripChain)
    memory = replace(
        whole.memory,
        sizes=strips.strip_sizes(
            whole.memory.sizes, chain, whole.grid, whole.fit, strips.strip_dtypes(inputs, whole.model.input.dtype)
        ),
        knobs=replace(whole.memory.knobs, strips=True),
    )
    return whole, replace(whole, strips=chain, memory=memory)


@contextmanager
def rings_in_this_process() -> Iterator[SlotRings]:
    """Slot rings whose model runs in this process."""
    original = slot_rings.SlotRing
    slot_rings.SlotRing = Ring  # type: ignore[misc,assignment]
    try:
        yield SlotRings()
    finally:
        slot_rings.SlotRing = original  # type: ignore[misc]


def run_strips(
    inputs: RunInputs, plan: RunPlan, backend: Backend, observer: Observer | None = None
) -> tuple[NDArray[np.uint8], list[int]]:
    """The labels [I, J, K] of strips, and their counts."""
    transport: Any = Transport()
    path = inputs.header.path.parent / "labels"
    path.unlink(missing_ok=True)
    with (
        rings_in_this_process() as rings,
        LabelFile(path, inputs.header.geometry.shape, np.dtype(np.uint8)) as file,
    ):
        counts, _ = segment_strips(plan, transport, backend, observer or Observer(), rings, file)
        return file.slices(0, file.shape[2]).transpose(2, 1, 0), counts


def run_both(
    inputs: RunInputs, window: Shape3, backend: Backend, *, classes: int = 3, batch: int = 2
) -> tuple[Segmentation, NDArray[np.uint8], list[int]]:
    """What the whole volume gives, the labels [I, J, K] of strips, and their counts."""
    plan, in_strips = plans_of(inputs, window, classes, batch)
    transport: Any = Transport()
    with rings_in_this_process() as rings:
        whole = segment(plan, read_voxels(inputs.header), transport, backend, Observer(), rings)
    return whole, *run_strips(inputs, in_strips, backend)
