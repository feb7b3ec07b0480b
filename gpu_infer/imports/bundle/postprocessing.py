"""Translate the `postprocessing` of a bundle into post_transforms, in its order."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown
from gpu_infer.imports.bundle.finish import RESULT, Finish
from gpu_infer.imports.bundle.label_steps import fill_holes, keep_largest, merge_masks
from gpu_infer.imports.bundle.preprocessing import CASTS, Prepared, component
from gpu_infer.imports.bundle.step import BY_HAND, Step

_COPY = re.compile(r"\$\s*((copy\.)?(deep)?copy\(\s*@preprocessing\s*\)|@preprocessing)\s*")

_LARGEST = {"bool": 1, "int8": 127, "uint8": 255}
"""The largest number of dtypes that some labels do not fit."""


def translate_postprocessing(
    steps: Sequence[Step], prepared: Prepared, channels: int | None, *, nearest_labels: bool = False
) -> Finish:
    """The post_transforms of a bundle.

    prepared        the grid that they undo
    channels        of the model's output
    nearest_labels  restore labels by the nearest voxel if the bundle interpolates them linearly

    Raises ConfigError for a transform, an argument or an order that is not imported.
    """
    finish = Finish(prepared, channels, nearest_labels)
    for step in steps:
        step.only("keys", "pred")
        if finish.is_saved and step.name not in ("SaveImaged", *CASTS):
            raise step.error("expected before SaveImaged")
        match step.name:
            case "Activationsd":
                _activate(step, finish)
            case "AsDiscreted":
                _discretize(step, finish)
            case "Invertd":
                _invert(step, finish)
            case "KeepLargestConnectedComponentd":
                keep_largest(step, finish)
            case "FillHolesd":
                fill_holes(step, finish)
            case "Lambdad":
                merge_masks(step, finish)
            case "SaveImaged":
                extension = step.args.get("output_ext")
                finish.extension = extension if isinstance(extension, str) else None
                _check_dtype(step, "output_dtype", finish)
                step.skip(*step.args)
                if finish.stage == "scores":
                    raise step.error("expected after AsDiscreted", "run with --scores for probabilities")
                finish.is_saved = True
            case name if name in CASTS:
                if finish.stage == "scores":
                    step.only("dtype", "float32")
                else:
                    _check_dtype(step, "dtype", finish)
                step.skip("dtype")
            case _:
                raise step.error("is not imported")
        step.finish()
    if finish.stage == "scores":
        raise ConfigError("postprocessing: expected AsDiscreted, which makes labels", remedy=BY_HAND)
    if (prepared.resamples or prepared.crops) and not finish.is_restored:
        raise ConfigError(
            "postprocessing: expected Invertd: labels are always on the grid of the input",
            remedy="add Invertd to the bundle",
        )
    return finish


def _activate(step: Step, finish: Finish) -> None:
    step.only("other")
    step.skip("kwargs")
    softmax, sigmoid = step.flag("softmax"), step.flag("sigmoid")
    if softmax and sigmoid:
        raise step.error("softmax and sigmoid are both true")
    if finish.stage != "scores" or (finish.is_restored and (finish.prepared.crops or finish.prepared.resamples)):
        raise step.error("expected before AsDiscreted and Invertd")
    if softmax and finish.channels == 1:
        raise step.error("softmax of one channel is 1 everywhere")
    if softmax or sigmoid:
        finish.transforms.append(component("Softmax" if softmax else "Sigmoid", fields=RESULT))


def _discretize(step: Step, finish: Finish) -> None:
    for name in ("to_onehot", "rounding"):
        step.only(name)
    step.only("dim", 0)
    step.only("keepdim", True)
    step.skip("dtype")
    argmax, threshold = step.flag("argmax"), step.get("threshold")
    if finish.stage != "scores":
        raise step.error("expected once")
    if argmax == (threshold is not None):
        raise step.error("expected argmax or a threshold")
    if argmax:
        if finish.channels == 1:
            raise step.error("argmax of one channel is 0 everywhere")
        finish.transforms.append(component("ArgmaxAcrossChannels", fields=RESULT))
        finish.stage = "labels"
        return
    # MONAI compares with ≥, ThresholdValues with >: the float32 below, which no other float32 lies between.
    below = float(np.nextafter(np.float32(step.number("threshold")), np.float32(-np.inf)))
    if finish.channels is None:
        raise step.error("the metadata has no num_channels of pred")
    single = finish.channels == 1
    name = "ThresholdValues" if single else "ThresholdAcrossChannels"
    finish.transforms.append(component(name, fields=RESULT, threshold=below))
    finish.stage = "labels" if single else "masks"


def _invert(step: Step, finish: Finish) -> None:
    step.skip("orig_meta_keys", "to_tensor")
    _check_inverted(step, finish.prepared)
    step.only("post_func")
    step.only("orig_keys", finish.prepared.key)
    nearest = step.flag("nearest_interp", True)
    if finish.is_restored:
        raise step.error("expected once")
    nearest = nearest or finish.prepared.is_nearest  # the mode that resampled the volume
    is_label = finish.stage != "scores"
    if is_label and not nearest and finish.prepared.resamples and not finish.nearest_labels:
        raise step.error(
            "nearest_interp false interpolates labels linearly, which makes values between them",
            "give --nearest-labels to restore them by the nearest voxel",
        )
    finish.is_restored = True
    restore = {"field": RESULT, "src_field": finish.prepared.key, "is_label": nearest or is_label}
    finish.transforms.append(component("RestoreOriginalShape", **restore))


def _check_inverted(step: Step, prepared: Prepared) -> None:
    """The transform that is inverted is the preprocessing, or a copy of it."""
    step.skip("transform")
    transform = step.args.get("transform")
    if isinstance(transform, Unknown):
        is_preprocessing = _COPY.fullmatch(transform.text) is not None
    else:
        is_preprocessing = transform == prepared.source
    if not is_preprocessing:
        raise step.error('transform is another one than "@preprocessing"')


def _check_dtype(step: Step, name: str, finish: Finish) -> None:
    """A dtype that holds the labels: here they are never cut to a smaller one."""
    dtype = step.args.get(name)
    dtype = dtype[0] if isinstance(dtype, list) and len(dtype) == 1 else dtype
    limit = _LARGEST.get(dtype) if isinstance(dtype, str) else None
    if finish.stage == "masks" or finish.channels == 1:
        largest = 1
    else:
        largest = max(finish.merged) if finish.merged else (finish.channels or 2) - 1
    if limit is not None and largest > limit:
        raise step.error(f"{name} is {dtype!r}, but labels are up to {largest}")
