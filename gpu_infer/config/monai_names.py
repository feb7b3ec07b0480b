"""MONAI's names of components, for errors that name the counterpart here."""

from __future__ import annotations

_COUNTERPARTS = {
    "LoadImage": "LoadNifti",
    "Orientation": 'LoadNifti, whose argument "as_closest_canonical" means RAS',
    "EnsureChannelFirst": "ConvertToChannelsFirst",
    "Spacing": "ScaleByResolution",
    "Resize": "ScaleToShape",
    "ScaleIntensityRange": "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles": "ScaleIntensityRangePercentiles",
    "ScaleIntensity": "ScaleIntensity",
    "ClipIntensityPercentiles": "ClipIntensityPercentiles",
    "NormalizeIntensity": "NormalizeIntensity, NormalizeNonzeroIntensities or CenterData",
    "MedianSmooth": "MedianSmooth",
    "CropForeground": "CropForegroundObject",
    "CenterSpatialCrop": "CropFixedSizeCenter",
    "DivisiblePad": "SymmetricPadderDiv",
    "Invert": "RestoreOriginalShape",
    "Activations": "Softmax or Sigmoid",
    "AsDiscrete": "ArgmaxAcrossChannels or ThresholdAcrossChannels",
    "KeepLargestConnectedComponent": "KeepLargestCC",
    "RemoveSmallObjects": "RemoveSmallObjects",
    "FillHoles": "FillHoles",
    "MapLabelValue": "RelabelValues",
    "SlidingWindowInferer": 'TRTISScanWindowInferer with "mode": "monai"',
}


def monai_hint(name: str) -> str:
    """The phrase `; MONAI's X is Y here`, or nothing if MONAI has no such component or it has no counterpart."""
    for ending in ("", "d", "D", "Dict"):
        plain = name.removesuffix(ending) if ending else name
        if plain in _COUNTERPARTS and (ending == "" or name.endswith(ending)):
            return f"; MONAI's {plain} is {_COUNTERPARTS[plain]} here"
    return ""
