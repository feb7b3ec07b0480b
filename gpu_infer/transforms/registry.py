"""The transforms that a configuration can name, and what to say of those it cannot."""

from __future__ import annotations

import re

from .base import Transform
from .intensity.scale_intensity_range import ScaleIntensityRange
from .io.copy_properties import CopyProperties
from .io.load_nifti import LoadNifti
from .labels.argmax_across_channels import ArgmaxAcrossChannels
from .spatial.convert_to_channels import ConvertToChannelsFirst, ConvertToChannelsLast
from .spatial.restore_original_shape import RestoreOriginalShape
from .spatial.scale_by_resolution import ScaleByResolution, ScaleBySpacing

TRANSFORMS: dict[str, type[Transform]] = {
    cls.name: cls
    for cls in (
        LoadNifti,
        ConvertToChannelsFirst,
        ConvertToChannelsLast,
        ScaleByResolution,
        ScaleBySpacing,
        ScaleIntensityRange,
        ArgmaxAcrossChannels,
        CopyProperties,
        RestoreOriginalShape,
    )
}

NOT_YET = frozenset(
    {
        "ScaleByFactor",
        "ScaleToShape",
        "NormalizeNonzeroIntensities",
        "CenterData",
        "ThresholdValues",
        "ThresholdAcrossChannels",
        "SplitAcrossChannels",
        "SplitBasedOnLabel",
        "SplitBasedOnBratsClasses",
        "KeepLargestCC",
        "CropForegroundObject",
        "CropFixedSizeCenter",
        "SymmetricPadderDiv",
        "FetchExtremePoints",
    }
)
"""Known by name, refused as "not supported yet"."""

_TRAINING = re.compile(
    r"^(Fast|Apply)?Rand(om)?[A-Z_]|Crop.*(PosNeg|Random|SubVolume)|PosNeg.*Crop|GaussianNoise|Elastic|^Augment"
)


def belongs_to_training(name: str) -> bool:
    """True for augmentation and sampling components, which have no place in inference."""
    return _TRAINING.search(name) is not None
