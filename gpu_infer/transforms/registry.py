"""The transforms that a configuration can name, and what to say of those it cannot."""

from __future__ import annotations

import re

from .base import Transform
from .intensity.center_data import CenterData
from .intensity.normalize_nonzero_intensities import NormalizeNonzeroIntensities
from .intensity.scale_intensity_range import ScaleIntensityRange
from .io.copy_properties import CopyProperties
from .io.load_nifti import LoadNifti
from .labels.argmax_across_channels import ArgmaxAcrossChannels
from .labels.fetch_extreme_points import FetchExtremePoints
from .labels.keep_largest_cc import KeepLargestCC
from .labels.split_across_channels import SplitAcrossChannels
from .labels.split_based_on_brats_classes import SplitBasedOnBratsClasses
from .labels.split_based_on_label import SplitBasedOnLabel
from .labels.threshold_across_channels import ThresholdAcrossChannels
from .labels.threshold_values import ThresholdValues
from .spatial.convert_to_channels import ConvertToChannelsFirst, ConvertToChannelsLast
from .spatial.crop_fixed_size_center import CropFixedSizeCenter
from .spatial.crop_foreground_object import CropForegroundObject
from .spatial.restore_original_shape import RestoreOriginalShape
from .spatial.scale_by_factor import ScaleByFactor
from .spatial.scale_by_resolution import ScaleByResolution, ScaleBySpacing
from .spatial.scale_to_shape import ScaleToShape
from .spatial.symmetric_padder_div import SymmetricPadderDiv

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
        CropForegroundObject,
        CropFixedSizeCenter,
        SymmetricPadderDiv,
        ScaleIntensityRange,
        NormalizeNonzeroIntensities,
        CenterData,
        ArgmaxAcrossChannels,
        ThresholdValues,
        ThresholdAcrossChannels,
        SplitAcrossChannels,
        SplitBasedOnLabel,
        SplitBasedOnBratsClasses,
        KeepLargestCC,
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
