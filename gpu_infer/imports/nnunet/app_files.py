"""config_inference.json and labels.json of an imported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from gpu_infer.choices import Format
from gpu_infer.imports.nnunet.configuration import Configuration
from gpu_infer.imports.nnunet.labels import Labels

Component = dict[str, Any]

_STEP_SIZE = 0.5
"""Default of nnUNetv2_predict's tile_step_size."""

_IMAGE = {"fields": "image"}


def inference_configuration(
    model: str,
    configuration: Configuration,
    labels: Labels,
    *,
    channels: int,
    file_ending: str,
    mirroring: Sequence[int],
    normalization: Sequence[Component],
    postprocessing: Sequence[Component],
) -> dict[str, Any]:
    """The content of config_inference.json.

    channels     of the input; several come from a file each, NAME_0000, NAME_0001, …
    file_ending  of nnU-Net's files
    mirroring    spatial axes of the network's tensors along which windows are mirrored
    """
    load: Component = {**_IMAGE, "as_closest_canonical": configuration.reorients}
    if channels > 1:
        load["files"] = [f"*_{channel:04d}{file_ending}" for channel in range(channels)]
    pre = [
        {"name": "LoadNifti", "args": load},
        {"name": "ConvertToChannelsFirst", "args": _IMAGE},
        {"name": "CropForegroundObject", "args": {**_IMAGE, "nonzero": True}},
        *normalization,
        {"name": "ScaleAsNnunet", "args": _scaling(configuration)},
    ]
    restore = {"field": "model", "src_field": "image", "is_label": False}
    post = [{"name": "RestoreOriginalShape", "args": restore}, *_labelling(labels), *postprocessing]
    writer: Component = {"field": "model", "dtype": "uint8"}
    if (ending := file_ending.removeprefix(".")) in get_args(Format):
        writer["format"] = ending
    return {
        "pre_transforms": pre,
        "post_transforms": post,
        "writers": [{"name": "WriteNifti", "args": writer}],
        "inferer": {"name": "TRTISScanWindowInferer", "args": _windows(model, configuration, mirroring)},
    }


def label_names(labels: Labels) -> dict[str, str]:
    """The content of labels.json."""
    return {str(label): name for label, name in sorted(labels.names.items())}


def _scaling(configuration: Configuration) -> Component:
    data, back = configuration.data, configuration.probabilities
    scaling: Component = {**_IMAGE, "target_spacing": list(configuration.spacing), "order": data.order}
    if data.force_separate_z is not None:
        scaling["force_separate_z"] = data.force_separate_z
    if back.force_separate_z is not None:
        scaling["restore_force_separate_z"] = back.force_separate_z
    if data.anisotropy_threshold != 3:
        scaling["anisotropy_threshold"] = data.anisotropy_threshold
    return scaling


def _labelling(labels: Labels) -> list[Component]:
    field = {"fields": "model"}
    if labels.regions is None:
        return [{"name": "ArgmaxAcrossChannels", "args": field}]
    return [
        {"name": "ThresholdAcrossChannels", "args": {**field, "threshold": 0.5, "sigmoid": True}},
        {"name": "MergeMasks", "args": {**field, "labels": list(labels.regions)}},
    ]


def _windows(model: str, configuration: Configuration, mirroring: Sequence[int]) -> Component:
    arguments: Component = {
        "model_name": model,
        "roi_size": list(configuration.patch),
        "axes": configuration.axes,
        "mode": "nnunet",
        "step_size": _STEP_SIZE,
        "blend": "gaussian",
    }
    if configuration.slice_axis is not None:
        arguments["slice_axis"] = configuration.slice_axis
    if mirroring:
        arguments["mirror_axes"] = configuration.mirror_axes(mirroring)
    return arguments
