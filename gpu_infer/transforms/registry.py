"""The transforms that a configuration can name, and how to recognise components of training."""

from __future__ import annotations

import re

from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.intensity.center_data import CenterData
from gpu_infer.transforms.intensity.clip_intensity import ClipIntensity
from gpu_infer.transforms.intensity.clip_intensity_percentiles import ClipIntensityPercentiles
from gpu_infer.transforms.intensity.gaussian_smooth import GaussianSmooth
from gpu_infer.transforms.intensity.median_smooth import MedianSmooth
from gpu_infer.transforms.intensity.normalize_as_nnunet import NormalizeAsNnunet
from gpu_infer.transforms.intensity.normalize_intensity import NormalizeIntensity
from gpu_infer.transforms.intensity.normalize_nonzero_intensities import NormalizeNonzeroIntensities
from gpu_infer.transforms.intensity.scale_intensity import ScaleIntensity
from gpu_infer.transforms.intensity.scale_intensity_range import ScaleIntensityRange
from gpu_infer.transforms.intensity.scale_intensity_range_percentiles import ScaleIntensityRangePercentiles
from gpu_infer.transforms.io.copy_properties import CopyProperties
from gpu_infer.transforms.io.load_nifti import LoadNifti
from gpu_infer.transforms.labels.argmax_across_channels import ArgmaxAcrossChannels
from gpu_infer.transforms.labels.fetch_extreme_points import FetchExtremePoints
from gpu_infer.transforms.labels.fill_holes import FillHoles
from gpu_infer.transforms.labels.keep_largest_cc import KeepLargestCC
from gpu_infer.transforms.labels.merge_masks import MergeMasks
from gpu_infer.transforms.labels.relabel_values import RelabelValues
from gpu_infer.transforms.labels.remove_small_objects import RemoveSmallObjects
from gpu_infer.transforms.labels.sigmoid import Sigmoid
from gpu_infer.transforms.labels.softmax import Softmax
from gpu_infer.transforms.labels.split_across_channels import SplitAcrossChannels
from gpu_infer.transforms.labels.split_based_on_brats_classes import SplitBasedOnBratsClasses
from gpu_infer.transforms.labels.split_based_on_label import SplitBasedOnLabel
from gpu_infer.transforms.labels.threshold_across_channels import ThresholdAcrossChannels
from gpu_infer.transforms.labels.threshold_values import ThresholdValues
from gpu_infer.transforms.spatial.convert_to_channels import ConvertToChannelsFirst, ConvertToChannelsLast
from gpu_infer.transforms.spatial.crop_fixed_size_center import CropFixedSizeCenter
from gpu_infer.transforms.spatial.crop_foreground_object import CropForegroundObject
from gpu_infer.transforms.spatial.restore_original_shape import RestoreOriginalShape
from gpu_infer.transforms.spatial.scale_as_nnunet import ScaleAsNnunet
from gpu_infer.transforms.spatial.scale_by_factor import ScaleByFactor
from gpu_infer.transforms.spatial.scale_by_resolution import ScaleByResolution, ScaleBySpacing
from gpu_infer.transforms.spatial.scale_to_shape import ScaleToShape
from gpu_infer.transforms.spatial.symmetric_padder_div import SymmetricPadderDiv

TRANSFORMS: dict[str, type[Transform]] = {
    cls.name: cls
    for cls in (
        LoadNifti,
        ConvertToChannelsFirst,
        ConvertToChannelsLast,
        ScaleByResolution,
        ScaleBySpacing,
        ScaleByFactor,
        ScaleToShape,
        ScaleAsNnunet,
        CropForegroundObject,
        CropFixedSizeCenter,
        SymmetricPadderDiv,
        ScaleIntensityRange,
        ScaleIntensityRangePercentiles,
        ScaleIntensity,
        ClipIntensity,
        ClipIntensityPercentiles,
        NormalizeIntensity,
        NormalizeNonzeroIntensities,
        NormalizeAsNnunet,
        CenterData,
        GaussianSmooth,
        MedianSmooth,
        Softmax,
        Sigmoid,
        ArgmaxAcrossChannels,
        ThresholdValues,
        ThresholdAcrossChannels,
        SplitAcrossChannels,
        SplitBasedOnLabel,
        SplitBasedOnBratsClasses,
        KeepLargestCC,
        RemoveSmallObjects,
        FillHoles,
        RelabelValues,
        MergeMasks,
        FetchExtremePoints,
        CopyProperties,
        RestoreOriginalShape,
    )
}

_TRAINING = re.compile(
    r"^(Fast|Apply)?Rand(om)?[A-Z_]|Crop.*(PosNeg|Random|SubVolume)|PosNeg.*Crop|GaussianNoise|Elastic|^Augment"
)


def belongs_to_training(name: str) -> bool:
    """True for augmentation and sampling components, which have no place in inference."""
    return _TRAINING.search(name) is not None
