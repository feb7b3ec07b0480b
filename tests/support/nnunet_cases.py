"""Plans and datasets of small nnU-Net models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """A trained model and a volume. `shape` and `file_spacing` are X, Y, Z; `spacing` and `patch` as in plans.

    components    labels of each rule of postprocessing.json
    region_order  regions_class_order, if there are regions
    old_plans     plans without `architecture`, as the first versions of nnU-Net 2 wrote them
    """

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
    folds: Sequence[int | str] = (0,)
    regions: bool = False
    region_order: Sequence[int] = (1, 2, 3)
    network: str = "PlainConvUNet"
    old_plans: bool = False
    reader: str = "SimpleITKIO"
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    components: Sequence[Sequence[int]] = ()
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
            result["regions_class_order"] = list(self.region_order)
        if self.old_plans:
            result["modality"] = result.pop("channel_names")
        return result

    def plans(self) -> dict[str, Any]:
        dims = len(self.patch)
        residual = self.network == "ResidualEncoderUNet"
        norm, conv = f"torch.nn.modules.instancenorm.InstanceNorm{dims}d", f"torch.nn.modules.conv.Conv{dims}d"
        architecture = {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{self.network}",
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [6, 8],
                "conv_op": conv,
                "kernel_sizes": [[3] * dims] * 2,
                "strides": [[1] * dims, [2] * dims],
                "n_blocks_per_stage" if residual else "n_conv_per_stage": [1, 1],
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
        if self.old_plans:
            del configuration["architecture"]
            configuration |= {
                "UNet_class_name": self.network,
                "UNet_base_num_features": 6,
                "unet_max_num_features": 8,
                "n_conv_per_stage_encoder": [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_kernel_sizes": [[3] * dims] * 2,
                "num_pool_per_axis": [1] * dims,
                "pool_op_kernel_sizes": [[1] * dims, [2] * dims],
            }
        properties = f"foreground_intensity_properties_{'by_modality' if self.old_plans else 'per_channel'}"
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
            properties: {str(n): dict(CT_PROPERTIES) for n in range(self.channels)},
            **self.extra_plans,
        }
