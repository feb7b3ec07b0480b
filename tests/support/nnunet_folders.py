"""Trained nnU-Net folders, plans, dataset and checkpoints of small networks, and volumes for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray
from scipy import ndimage

CT_PROPERTIES = {"mean": 40.0, "std": 90.0, "percentile_00_5": -150.0, "percentile_99_5": 220.0}
RESAMPLING: dict[str, Any] = {
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}


@dataclass(frozen=True)
class Case:
    """A trained model and a volume. `shape` and `file_spacing` are X, Y, Z; `spacing` and `patch` as in plans."""

    name: str
    shape: tuple[int, int, int] = (44, 40, 36)
    file_spacing: tuple[float, float, float] = (0.9, 0.8, 1.3)
    spacing: Sequence[float] = (1.1, 1.0, 1.0)
    patch: Sequence[int] = (24, 24, 24)
    configuration: str = "3d_fullres"
    schemes: Sequence[str] = ("CTNormalization",)
    masked: Sequence[bool] = (False,)
    transpose: tuple[int, int, int] = (0, 1, 2)
    mirroring: tuple[int, ...] | None = None
    folds: Sequence[int] = (0,)
    regions: bool = False
    reader: str = "SimpleITKIO"
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    extra_plans: dict[str, Any] = field(default_factory=dict)
    extra_configuration: dict[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        return len(self.schemes)

    @property
    def folder_name(self) -> str:
        return f"nnUNetTrainer__nnUNetPlans__{self.configuration}"

    def dataset(self) -> dict[str, Any]:
        labels: dict[str, Any] = {"background": 0, "organ": 1, "lesion": 2}
        result: dict[str, Any] = {
            "channel_names": {str(n): scheme for n, scheme in enumerate(self.schemes)},
            "labels": labels,
            "file_ending": ".nii.gz",
            "numTraining": 1,
        }
        if self.regions:
            result["labels"] = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
            result["regions_class_order"] = [1, 2, 3]
        return result

    def plans(self) -> dict[str, Any]:
        dims = len(self.patch)
        norm, conv = f"torch.nn.modules.instancenorm.InstanceNorm{dims}d", f"torch.nn.modules.conv.Conv{dims}d"
        architecture = {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [6, 8],
                "conv_op": conv,
                "kernel_sizes": [[3] * dims] * 2,
                "strides": [[1] * dims, [2] * dims],
                "n_conv_per_stage": [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_bias": True,
                "norm_op": norm,
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }
        configuration = {
            "data_identifier": "nnUNetPlans_3d",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(self.patch),
            "median_image_size_in_voxels": [40.0] * dims,
            "spacing": list(self.spacing),
            "normalization_schemes": list(self.schemes),
            "use_mask_for_norm": list(self.masked),
            **RESAMPLING,
            "architecture": architecture,
            "batch_dice": False,
            **self.extra_configuration,
        }
        return {
            "dataset_name": f"Dataset001_{self.name}",
            "plans_name": "nnUNetPlans",
            "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
            "original_median_shape_after_transp": [40, 40, 40],
            "image_reader_writer": self.reader,
            "transpose_forward": list(self.transpose),
            "transpose_backward": [self.transpose.index(axis) for axis in range(3)],
            "configurations": {self.configuration: configuration},
            "experiment_planner_used": "ExperimentPlanner",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(n): dict(CT_PROPERTIES) for n in range(self.channels)},
            **self.extra_plans,
        }


def write_case(case: Case, place: Path) -> tuple[Path, list[Path]]:
    """Write the trained folder and the files of a volume; return both."""
    files = write_volume(case, place / "scans")
    trained = place / case.folder_name
    trained.mkdir(parents=True)
    (trained / "plans.json").write_text(json.dumps(case.plans()), encoding="utf-8")
    (trained / "dataset.json").write_text(json.dumps(case.dataset()), encoding="utf-8")
    for fold in case.folds:
        weights = _weights(case, seed=fold)
        (trained / f"fold_{fold}").mkdir()
        checkpoint = {
            "network_weights": weights,
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "epoch_start_timestamps": [1.0]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1000,
            "init_args": {"plans": case.plans(), "configuration": case.configuration, "fold": fold},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": case.mirroring,
        }
        torch.save(checkpoint, trained / f"fold_{fold}" / "checkpoint_final.pth")
    return trained, files


def write_volume(case: Case, folder: Path) -> list[Path]:
    """One file per channel: smooth blobs with noise; if the z-score has a mask, 0 outside a ball, with a hole of 0."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(case.name))
    smooth = ndimage.gaussian_filter(rng.normal(size=case.shape[::-1]), 4)
    smooth /= smooth.std()
    paths = []
    for channel in range(case.channels):
        voxels = 40 + 90 * smooth * (1 + channel / 2) + 6 * rng.normal(size=smooth.shape)
        if any(case.masked):
            voxels = _masked(voxels + 500)
        image = sitk.GetImageFromArray(voxels.round().astype(np.int16))
        image.SetSpacing(case.file_spacing)
        image.SetOrigin((10.0, -20.0, 30.0))
        image.SetDirection(case.direction)
        paths.append(folder / f"{case.name}_{channel:04d}.nii.gz")
        sitk.WriteImage(image, str(paths[-1]))
    return paths


def _masked(voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in voxels.shape), indexing="ij")
    radius = np.sqrt(sum((axis * scale) ** 2 for axis, scale in zip(axes, (1.2, 1.15, 1.3), strict=True)))
    hole = np.zeros(voxels.shape, bool)
    hole[12:16, 18:24, 15:20] = True
    return np.where((radius < 1) & ~hole, np.maximum(voxels, 1), 0)


def build_network(configuration: Any, channels: int, heads: int) -> Any:
    """The network of plans, as nnUNetTrainer builds it."""
    return get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        channels,
        heads,
        deep_supervision=False,
    )


def _weights(case: Case, seed: int) -> dict[str, Any]:
    """Weights with which logits are monotone in the smoothed image: they are near 0 at few voxels.

    Kernels are smooth and nearly the same for all channels, so that every operator of the network takes part.
    """
    plans = PlansManager(case.plans())
    labels = plans.get_label_manager(case.dataset())
    network = build_network(plans.get_configuration(case.configuration), case.channels, labels.num_segmentation_heads)
    generator = torch.Generator().manual_seed(seed)
    weights = dict(network.state_dict())
    heads = labels.num_segmentation_heads
    slopes = torch.ones(heads) if case.regions else torch.arange(heads) - 1.0  # ties of labels are at a logit of 0
    levels = torch.tensor([0.2, 0.7, 1.2]) if case.regions else torch.tensor([0.2, 0.0, 1.0])
    for name, value in weights.items():
        noise = torch.randn(value.shape, generator=generator)
        if ".seg_layers." in name and value.ndim == 1:
            weights[name] = -8 * slopes * levels
        elif ".seg_layers." in name:
            weights[name] = 8 * slopes.reshape(-1, *[1] * (value.ndim - 1)) * (1 + 0.1 * noise) / value.shape[1]
        elif value.ndim < 2:
            weights[name] = value + 0.05 * noise  # biases and norms
        else:
            weights[name] = (1 + 0.2 * noise) / (value[0].numel() if ".transpconvs." not in name else value.shape[0])
    return weights
