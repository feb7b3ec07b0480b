"""Trained nnU-Net folders with checkpoints of small networks, and volumes for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunet_cases import Case
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray
from scipy import ndimage


def write_case(case: Case, place: Path) -> tuple[Path, list[Path]]:
    """Write the trained folder and the files of a volume; return both."""
    files = write_volume(case, place / "scans")
    trained = place / case.folder_name
    trained.mkdir(parents=True)
    (trained / "plans.json").write_text(json.dumps(case.plans()), encoding="utf-8")
    (trained / "dataset.json").write_text(json.dumps(case.dataset()), encoding="utf-8")
    if case.components:
        place_of_rules = trained / f"crossval_results_folds_{'_'.join(map(str, case.folds))}"
        place_of_rules.mkdir()
        rules = {
            "postprocessing_fns": ["remove_all_but_largest_component_from_segmentation"] * len(case.components),
            "postprocessing_kwargs": [{"labels_or_regions": list(labels)} for labels in case.components],
        }
        (place_of_rules / "postprocessing.json").write_text(json.dumps(rules), encoding="utf-8")
    for seed, fold in enumerate(case.folds):
        weights = _weights(case, seed=seed)
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
        if "RGBTo01Normalization" in case.schemes:
            voxels = voxels.clip(0, 255)
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
