"""Run a bundle with MONAI, and what its volumes and networks are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from bundle_cases import BundleCase
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from scipy import ndimage


def write_volume(case: BundleCase, folder: Path) -> list[Path]:
    """A file per channel: smooth blobs with noise, HU-like; 0 outside a box if there are several or `masked`."""
    folder.mkdir()
    rng = np.random.default_rng(len(case.name))
    affine = np.zeros((4, 4))
    for column, (axis, flip) in enumerate(zip(case.axes, case.flips, strict=True)):
        affine[axis, column] = flip * case.spacing[column]
    if case.is_oblique:
        affine[:3, :3] = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]) @ affine[:3, :3]
    affine[:, 3] = (10.0, -20.0, 30.0, 1.0)
    paths = []
    for channel in range(case.channels):
        smooth = ndimage.gaussian_filter(rng.normal(size=case.shape), 3.5)
        values = 40 + 100 * smooth / smooth.std() * (1 + channel / 2) + 5 * rng.normal(size=case.shape)
        if case.channels > 1 or case.keys.get("masked"):
            inside = np.zeros(case.shape, bool)
            inside[5:-4, 3:-6, 2:-3] = True
            values = np.where(inside, np.abs(values) + 1, 0)
        paths.append(folder / f"{case.name}_{channel}.nii.gz")
        nib.save(nib.Nifti1Image(values.round().astype(np.int16), affine), paths[-1])
    return paths


class Network(torch.nn.Module):
    """Two convolutions with smooth kernels, whose scores are near each other at few voxels."""

    def __init__(self, case: BundleCase) -> None:
        super().__init__()
        torch.manual_seed(len(case.name))
        conv = torch.nn.Conv3d if case.spatial == 3 else torch.nn.Conv2d
        self.first = conv(case.channels, 4, 3, padding=1)
        self.last = conv(4, case.classes, 3, padding=1)
        with torch.no_grad():
            for layer, gain in ((self.first, 2.0), (self.last, 6.0)):
                layer.weight[:] = gain * torch.randn(layer.weight.shape) / layer.weight[0].numel() ** 0.5
            self.last.bias -= (
                self(torch.rand(2, case.channels, *(12,) * case.spatial)).transpose(0, 1).flatten(1).mean(1)
            )

    def forward(self, image: Any) -> Any:
        return self.last(torch.tanh(self.first(image)))


def export(network: torch.nn.Module, case: BundleCase, path: Path) -> Path:
    """Write the ONNX file, with a dynamic batch and dynamic spatial axes."""
    image = torch.zeros(1, case.channels, *(16,) * case.spatial)
    axes = {0: "batch", **{2 + n: f"size_{n}" for n in range(case.spatial)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (image,),
            str(path),
            input_names=["image"],
            output_names=["pred"],
            dynamic_axes={"image": axes, "pred": axes},
            opset_version=17,
            dynamo=False,
        )
    return path


@dataclass(frozen=True)
class Answer:
    """MONAI's file, [I, J, K] or [I, J, K, C], and the margin of each decision on the same grid."""

    labels: NDArray[np.float64]
    margin: NDArray[np.float64]


def run_bundle(case: BundleCase, folder: Path, network: torch.nn.Module, source: Any, output: Path) -> Answer:
    """What the bundle writes for a volume: its preprocessing, inferer and postprocessing, made by MONAI."""
    key = "image"
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / f"inference{case.suffix}"))
    parser["output_dir"] = str(output)
    before, inferer = parser.get_parsed_content("preprocessing"), parser.get_parsed_content("inferer")
    steps = parser.get_parsed_content("postprocessing").transforms
    data = before({key: source})
    with torch.no_grad():
        data["pred"] = inferer(data[key][None], network.eval())[0]
    margin = None
    for step in steps:
        name = type(step).__name__
        if name == "AsDiscreted":
            margin = {**data, "pred": _margin(data["pred"], step)}
        elif name == "Invertd" and margin is not None:
            margin = step(margin)
        data = step(data)
    assert margin is not None
    (path,) = output.glob("*.nii.gz")
    return Answer(np.asarray(nib.load(path).dataobj), margin["pred"].numpy().astype(np.float64))


def _margin(scores: Any, step: Any) -> Any:
    """How far scores are from another decision: of the best two, or from the threshold of each channel."""
    threshold = step.threshold[0]
    if threshold is not None:
        return (scores - threshold).abs()
    best = scores.topk(2, dim=0).values
    return best[:1] - best[1:]
