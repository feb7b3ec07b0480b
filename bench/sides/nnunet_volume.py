"""nnU-Net's side of bench.nnunet: `python -m bench.sides.nnunet_volume TRAINED INPUT OUTPUT`.

It also writes the trained folder: the plans of a CT model with a network that computes almost nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from bench.support.measure import peak_rss

PATCH = 128
SPACING = (1.0, 1.0, 1.0)
CONFIGURATION = "3d_fullres"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.nnunet_volume", description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path, help="label map, .nii.gz")
    arguments = parser.parse_args()
    print(json.dumps(predict(arguments.trained, arguments.input, arguments.output)))  # noqa: T201


def write_trained(folder: Path) -> None:
    """plans.json, dataset.json and the checkpoint of one fold."""
    import torch

    plans, dataset = make_plans(), make_dataset()
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    checkpoint = {
        "network_weights": monotone(make_network(plans).state_dict()),
        "init_args": {"configuration": CONFIGURATION},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


def predict(trained: Path, source: Path, output: Path) -> dict[str, Any]:
    """Seconds from the file to the label map, those in the network, and the peak memory of this process."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(make_plans())
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    checkpoint = torch.load(trained / "fold_0" / "checkpoint_final.pth", weights_only=True)
    network = make_network(plans.plans)
    spent = {"model": 0.0, "windows": 0}
    forward = network.forward

    def timed(window: Any) -> Any:
        begin = time.perf_counter()
        scores = forward(window)
        spent["model"] += time.perf_counter() - begin
        spent["windows"] += 1
        return scores

    network.forward = timed
    predictor.manual_initialization(
        network,
        plans,
        plans.get_configuration(CONFIGURATION),
        [checkpoint["network_weights"]],
        make_dataset(),
        "nnUNetTrainer",
        None,
    )
    begin = time.perf_counter()
    predictor.predict_from_files_sequential([[str(source)]], [str(output).removesuffix(".nii.gz")])
    whole = time.perf_counter() - begin
    return {
        "seconds": whole,
        "model_s": spent["model"],
        "rest_s": whole - spent["model"],
        "windows": spent["windows"],
        "peak_bytes": peak_rss(),
    }


def monotone(weights: dict[str, Any]) -> dict[str, Any]:
    """Weights with which labels follow the normalised voxels, and ties between labels are at logits of 0."""
    import torch

    result = {}
    for name, value in weights.items():
        slopes = torch.tensor([-8.0, 0.0, 8.0])
        if ".seg_layers." in name:
            result[name] = (
                slopes.reshape(-1, 1, 1, 1, 1) if value.ndim > 1 else slopes * torch.tensor([-0.5, 0.0, -0.7])
            )
        else:
            result[name] = torch.ones_like(value) / max(1, value[0].numel()) if value.ndim > 1 else value
    return result


def make_network(plans: dict[str, Any]) -> Any:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    described = plans["configurations"][CONFIGURATION]["architecture"]
    names = ("network_class_name", "arch_kwargs", "_kw_requires_import")
    return get_network_from_plans(*(described[name] for name in names), 1, 3, deep_supervision=False)


def make_dataset() -> dict[str, Any]:
    labels = {"background": 0, "a": 1, "b": 2}
    return {"labels": labels, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}


def make_plans() -> dict[str, Any]:
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [1, 1],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 1, 1], [1, 1, 1]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration: dict[str, Any] = {
        "data_identifier": "bench",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [PATCH] * 3,
        "spacing": list(SPACING),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": architecture,
        "batch_dice": False,
    }
    for name, order in (("data", 3), ("probabilities", 1), ("seg", 1)):
        configuration[f"resampling_fn_{name}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{name}_kwargs"] = {
            "is_seg": name == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    properties = {"mean": -60.0, "std": 350.0, "percentile_00_5": -1000.0, "percentile_99_5": 900.0}
    return {
        "dataset_name": "bench",
        "plans_name": "bench",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": properties},
        "configurations": {CONFIGURATION: configuration},
    }


if __name__ == "__main__":
    main()
