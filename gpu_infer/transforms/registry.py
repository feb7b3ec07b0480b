"""The transforms that a configuration can name, and how to recognise components of training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module

from gpu_infer.transforms.base import Transform

_MODULES = {
    "LoadNifti": "io.load_nifti",
    "ConvertToChannelsFirst": "spatial.convert_to_channels",
    "ConvertToChannelsLast": "spatial.convert_to_channels",
    "ScaleByResolution": "spatial.scale_by_resolution",
    "ScaleBySpacing": "spatial.scale_by_resolution",
    "ScaleByFactor": "spatial.scale_by_factor",
    "ScaleToShape": "spatial.scale_to_shape",
    "ScaleAsNnunet": "spatial.scale_as_nnunet",
    "CropForegroundObject": "spatial.crop_foreground_object",
    "CropFixedSizeCenter": "spatial.crop_fixed_size_center",
    "SymmetricPadderDiv": "spatial.symmetric_padder_div",
    "ScaleIntensityRange": "intensity.scale_intensity_range",
    "ScaleIntensityRangePercentiles": "intensity.scale_intensity_range_percentiles",
    "ScaleIntensity": "intensity.scale_intensity",
    "ClipIntensity": "intensity.clip_intensity",
    "ClipIntensityPercentiles": "intensity.clip_intensity_percentiles",
    "NormalizeIntensity": "intensity.normalize_intensity",
    "NormalizeNonzeroIntensities": "intensity.normalize_nonzero_intensities",
    "NormalizeAsNnunet": "intensity.normalize_as_nnunet",
    "CenterData": "intensity.center_data",
    "HistogramNormalize": "intensity.histogram_normalize",
    "EqualizeAdapthist": "intensity.equalize_adapthist",
    "GaussianSmooth": "intensity.gaussian_smooth",
    "MedianSmooth": "intensity.median_smooth",
    "Softmax": "labels.softmax",
    "Sigmoid": "labels.sigmoid",
    "ArgmaxAcrossChannels": "labels.argmax_across_channels",
    "ThresholdValues": "labels.threshold_values",
    "ThresholdAcrossChannels": "labels.threshold_across_channels",
    "SplitAcrossChannels": "labels.split_across_channels",
    "SplitBasedOnLabel": "labels.split_based_on_label",
    "SplitBasedOnBratsClasses": "labels.split_based_on_brats_classes",
    "KeepLargestCC": "labels.keep_largest_cc",
    "RemoveSmallObjects": "labels.remove_small_objects",
    "FillHoles": "labels.fill_holes",
    "BinaryMorphology": "labels.binary_morphology",
    "RelabelValues": "labels.relabel_values",
    "MergeMasks": "labels.merge_masks",
    "FetchExtremePoints": "labels.fetch_extreme_points",
    "CopyProperties": "io.copy_properties",
    "RestoreOriginalShape": "spatial.restore_original_shape",
}
"""Of each transform, which is a class of the same name; relative to this package."""


class _Registry(Mapping[str, type[Transform]]):
    """The transforms by name. The module of one is imported when it is asked for: a run needs only a few."""

    def __getitem__(self, name: str) -> type[Transform]:
        transform: type[Transform] = getattr(import_module(f"{__package__}.{_MODULES[name]}"), name)
        return transform

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


TRANSFORMS: Mapping[str, type[Transform]] = _Registry()

_TRAINING = re.compile(
    r"^(Fast|Apply)?Rand(om)?[A-Z_]|Crop.*(PosNeg|Random|SubVolume)|PosNeg.*Crop|GaussianNoise|Elastic|^Augment"
)


def belongs_to_training(name: str) -> bool:
    """True for augmentation and sampling components, which have no place in inference."""
    return _TRAINING.search(name) is not None
