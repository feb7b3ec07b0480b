"""MONAI's names of components, for errors that name the counterpart here."""

from __future__ import annotations

_COUNTERPARTS = {
    "LoadImage": "LoadNifti",
    "Orientation": 'LoadNifti, whose argument "as_closest_canonical" means RAS',
    "EnsureChannelFirst": "ConvertToChannelsFirst",
    "AddChannel": "ConvertToChannelsFirst",
    "AsChannelFirst": "ConvertToChannelsFirst",
    "AsChannelLast": "ConvertToChannelsLast",
    "EnsureType": "not needed",
    "CastToType": "not needed",
    "ToTensor": "not needed",
    "Spacing": "ScaleByResolution",
    "Resize": "ScaleToShape",
    "Zoom": "ScaleByFactor, with sizes round(n · factor),",
    "ScaleIntensityRange": "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles": "ScaleIntensityRangePercentiles",
    "ScaleIntensity": "ScaleIntensity",
    "ShiftIntensity": 'CenterData with "subtrahend": −offset and "divisor": 1',
    "ThresholdIntensity": "ClipIntensity if cval is the threshold, else a custom transform",
    "ClipIntensityPercentiles": "ClipIntensityPercentiles",
    "NormalizeIntensity": "NormalizeIntensity, NormalizeNonzeroIntensities or CenterData",
    "HistogramNormalize": "HistogramNormalize",
    "GaussianSmooth": "GaussianSmooth, which pads and samples as scikit-image does",
    "MedianSmooth": "MedianSmooth",
    "CropForeground": "CropForegroundObject",
    "CenterSpatialCrop": "CropFixedSizeCenter",
    "DivisiblePad": "SymmetricPadderDiv",
    "SpatialPad": "not needed before an inferer with windows, which pads smaller volumes,",
    "Invert": "RestoreOriginalShape",
    "Activations": "Softmax or Sigmoid",
    "AsDiscrete": "ArgmaxAcrossChannels or ThresholdAcrossChannels",
    "KeepLargestConnectedComponent": "KeepLargestCC",
    "RemoveSmallObjects": "RemoveSmallObjects",
    "FillHoles": "FillHoles",
    "MapLabelValue": "RelabelValues",
    "LabelFilter": "RelabelValues, which sets the other labels to 0,",
    "LabelToMask": "RelabelValues, which sets the selected labels to 1 and the others to 0,",
    "SplitDim": "SplitAcrossChannels",
    "ConvertToMultiChannelBasedOnBratsClasses": "SplitBasedOnBratsClasses",
    "SaveImage": "a writer",
    "MeanEnsemble": "models, an argument of the inferer: a mean of scores",
    "SlidingWindowInferer": 'TRTISScanWindowInferer with "mode": "monai"',
    "SliceInferer": 'TRTISScanWindowInferer with a 2-D model, "slice_axis" and "mode": "monai"',
}


def monai_hint(name: str) -> str:
    """The phrase `; MONAI's X is Y here`, or nothing if MONAI has no such component or it has no counterpart."""
    for ending in ("", "d", "D", "Dict"):
        plain = name.removesuffix(ending) if ending else name
        if plain in _COUNTERPARTS and (ending == "" or name.endswith(ending)):
            return f"; MONAI's {plain} is {_COUNTERPARTS[plain]} here"
    return ""
