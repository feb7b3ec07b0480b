"""MONAI bundles in the shapes of published ones, and what their volumes look like."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Item = dict[str, Any]

LOAD: list[Item] = [{"_target_": "LoadImaged", "keys": "@key"}, {"_target_": "EnsureChannelFirstd", "keys": "@key"}]
RAS: Item = {"_target_": "Orientationd", "keys": "@key", "axcodes": "RAS"}
SPACING: Item = {"_target_": "Spacingd", "keys": "@key", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"}
RANGE: Item = {
    "_target_": "ScaleIntensityRanged",
    "keys": "@key",
    "a_min": -160,
    "a_max": 240,
    "b_min": 0,
    "b_max": 1,
    "clip": True,
}
TYPE: Item = {"_target_": "EnsureTyped", "keys": "@key"}
SOFTMAX: Item = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID: Item = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
ARGMAX: Item = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
LINEAR: Item = {
    "_target_": "Invertd",
    "keys": "pred",
    "transform": "@preprocessing",
    "orig_keys": "@key",
    "nearest_interp": False,
    "to_tensor": True,
}
NEAREST: Item = LINEAR | {"nearest_interp": True}
SAVE: Item = {
    "_target_": "SaveImaged",
    "keys": "pred",
    "output_dir": "@output_dir",
    "output_ext": ".nii.gz",
    "output_dtype": "$numpy.float32",
    "separate_folder": False,
}
WINDOWS: Item = {"_target_": "SlidingWindowInferer", "roi_size": [20, 24, 16], "sw_batch_size": 2, "overlap": 0.5}


@dataclass(frozen=True)
class BundleCase:
    """A bundle, and the volume that it segments.

    pre, inferer, post  components of the configuration
    keys                further keys of the configuration
    classes             channels of the network's output
    channels            of the volume
    axes, flips         orientation of the file: which world axis each array axis follows, and in which direction
    suffix              of the configuration file
    """

    name: str
    pre: list[Item]
    post: list[Item]
    inferer: Item = field(default_factory=lambda: WINDOWS)
    keys: Item = field(default_factory=dict)
    classes: int = 3
    channels: int = 1
    shape: tuple[int, int, int] = (46, 41, 27)
    spacing: tuple[float, float, float] = (0.83, 1.17, 2.3)
    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[int, int, int] = (1, 1, 1)
    spatial: int = 3
    is_oblique: bool = False
    suffix: str = ".json"

    def configuration(self) -> Item:
        """The content of inference.json."""
        return copy.deepcopy(
            {
                "imports": ["$import glob", "$import numpy"],
                "key": "image",
                "bundle_root": ".",
                "output_dir": "$@bundle_root + '/eval'",
                "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
                "preprocessing": {"_target_": "Compose", "transforms": self.pre},
                "inferer": self.inferer,
                "postprocessing": {"_target_": "Compose", "transforms": self.post},
                **self.keys,
            }
        )

    def metadata(self) -> Item:
        """The content of metadata.json."""
        names = {str(n): "background" if n == 0 else f"organ {n}" for n in range(self.classes)}
        pred = {"type": "image", "format": "segmentation", "num_channels": self.classes, "channel_def": names}
        return {"version": "0.1.0", "network_data_format": {"outputs": {"pred": pred}}}

    def write(self, place: Path) -> Path:
        """Write the configs of the bundle; return its folder."""
        folder = place / self.name
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        content = self.configuration()
        text = json.dumps(content) if self.suffix == ".json" else yaml.safe_dump(content)
        (folder / "configs" / f"inference{self.suffix}").write_text(text, encoding="utf-8")
        (folder / "configs" / "metadata.json").write_text(json.dumps(self.metadata()), encoding="utf-8")
        return folder


CT = BundleCase("ct", [*LOAD, RAS, SPACING, RANGE, TYPE], [SOFTMAX, LINEAR, ARGMAX, SAVE], flips=(-1, -1, 1))

WHOLE_BODY = BundleCase(
    "whole_body",
    [
        LOAD[0],
        TYPE,
        LOAD[1],
        RAS,
        SPACING | {"pixdim": "@pixdim"},
        {"_target_": "NormalizeIntensityd", "keys": "@key", "nonzero": True},
        {"_target_": "ScaleIntensityd", "keys": "@key", "minv": -1.0, "maxv": 1.0},
    ],
    [SOFTMAX, ARGMAX, NEAREST, SAVE],
    WINDOWS
    | {
        "roi_size": [32, 24, 48],
        "sw_batch_size": "@display#batch",
        "overlap": "@display#overlap",
        "padding_mode": "replicate",
        "mode": "gaussian",
        "device": "@device",
    },
    {
        "display": {"fine": False, "overlap": 0.25, "batch": 1},
        "pixdim": "$[0.7, 0.7, 0.7] if @display#fine else [1.55, 1.45, 1.6]",
    },
    classes=5,
    axes=(2, 0, 1),
    flips=(1, -1, 1),
)
FILE_AXES = BundleCase(
    "file_axes",
    [*LOAD, {"_target_": "NormalizeIntensityd", "keys": "@key", "nonzero": "True", "channel_wise": "True"}, TYPE],
    [SOFTMAX, LINEAR | {"meta_key_postfix": "meta_dict"}, ARGMAX, SAVE | {"meta_keys": "pred_meta_dict"}],
    WINDOWS | {"overlap": 0.7},
    classes=6,
    axes=(1, 2, 0),
    flips=(-1, 1, -1),
)
WHERE = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"
REGIONS = BundleCase(
    "regions",
    [LOAD[0], {"_target_": "NormalizeIntensityd", "keys": "@key", "nonzero": True, "channel_wise": True}],
    [
        SIGMOID,
        LINEAR,
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {"_target_": "Lambdad", "keys": "pred", "func": WHERE},
        SAVE | {"resample": False, "squeeze_end_dims": True},
    ],
    WINDOWS | {"roi_size": [48, 32, 32], "sw_batch_size": 1},
    channels=4,
)
MASKS = BundleCase(
    "masks",
    [*LOAD, RAS, SPACING, RANGE, TYPE],
    [SIGMOID, LINEAR, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.4}, SAVE],
    flips=(1, -1, 1),
)
LARGEST: Item = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]}
COMPONENTS = BundleCase(
    "components",
    [
        *LOAD,
        RAS,
        SPACING | {"pixdim": [0.9, 1.3, 2.05]},
        {"_target_": "ScaleIntensityd", "keys": "@key", "minv": 0, "maxv": 1},
        {"_target_": "NormalizeIntensityd", "keys": "@key"},
        TYPE,
    ],
    [ARGMAX, LARGEST, NEAREST, SAVE],
)
CROPPED = BundleCase(
    "cropped",
    [
        *LOAD,
        RAS,
        {"_target_": "CropForegroundd", "keys": "@key", "source_key": "@key", "margin": 2, "allow_smaller": True},
        SPACING | {"pixdim": [1.1, 1.4, 1.9]},
        RANGE,
    ],
    [
        SIGMOID,
        LINEAR,
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {"_target_": "FillHolesd", "keys": "pred"},
        {"_target_": "KeepLargestConnectedComponentd", "keys": "pred"},
        SAVE,
    ],
    keys={"masked": True},
    classes=1,
)
SLICES = BundleCase(
    "slices",
    [*LOAD, {"_target_": "ScaleIntensityd", "keys": "@key"}, TYPE | {"device": "cpu"}],
    [SOFTMAX, LINEAR, ARGMAX, SAVE],
    {"_target_": "SliceInferer", "roi_size": [32, 48], "spatial_dim": 2},
    classes=4,
    spatial=2,
    shape=(46, 41, 9),
)
SAGITTAL = BundleCase(
    "sagittal",
    SLICES.pre,
    SLICES.post,
    {"_target_": "SliceInferer", "roi_size": [32, 24], "spatial_dim": 0, "overlap": 0.5},
    spatial=2,
    shape=(9, 46, 41),
)
WHOLE = BundleCase("whole", CT.pre, CT.post, {"_target_": "SimpleInferer"})
ABDOMEN = BundleCase(
    "abdomen",
    [
        *LOAD,
        RAS,
        SPACING | {"keys": ["@key"], "pixdim": [1.25, 1.35, 2.6], "mode": ["bilinear"]},
        RANGE | {"a_min": 60, "a_max": 300},
        {"_target_": "CropForegroundd", "keys": ["@key"], "source_key": "@key", "mode": ["minimum"]},
        TYPE,
        {"_target_": "CastToTyped", "keys": "@key", "dtype": "$torch.float32"},
    ],
    CT.post,
    WINDOWS | {"overlap": 0.625},
    classes=4,
    is_oblique=True,
    axes=(1, 0, 2),
    flips=(-1, -1, 1),
    suffix=".yaml",
)
CASES = [CT, WHOLE_BODY, FILE_AXES, REGIONS, MASKS, COMPONENTS, CROPPED, SLICES, SAGITTAL, WHOLE, ABDOMEN]
