"""Translate the `inferer` of a bundle into the inferer section."""

from __future__ import annotations

from typing import Any

from gpu_infer.imports.bundle.preprocessing import Component, component
from gpu_infer.imports.bundle.step import Step
from gpu_infer.imports.nnunet.fields import is_number

_AXES = "XYZ"

_WITHOUT_EFFECT = (
    "sw_batch_size",
    "sw_device",
    "progress",
    "cache_roi_weight_map",
    "cpu_thresh",
    "buffer_steps",
    "buffer_dim",
)
"""Batches, devices and buffers: they change no score."""


def translate_inferer(step: Step, model_name: str) -> Component:
    """A scanning window in the mode `monai`, of slices for SliceInferer, or the whole volume.

    Raises ConfigError for another inferer, or an argument that is not imported.
    """
    match step.name:
        case "SimpleInferer":
            step.finish()
            return component("TRTISSimpleInferer", model_name=model_name)
        case "SlidingWindowInferer":
            places: dict[str, Any] = {"roi_size": _sizes(step, 3)}
        case "SliceInferer":
            places = _slices(step)
        case _:
            raise step.error("is not imported, expected SlidingWindowInferer, SliceInferer or SimpleInferer")
    places |= _weights(step, len(places["roi_size"]))
    step.skip(*_WITHOUT_EFFECT)
    step.only("with_coord", False)
    step.only("roi_weight_map")
    step.finish()
    return component("TRTISScanWindowInferer", model_name=model_name, mode="monai", **places)


def _sizes(step: Step, count: int) -> list[int]:
    sizes = step.positive_numbers("roi_size", count)
    if not all(type(size) is int for size in sizes):
        raise step.error(f"roi_size is {sizes!r}, expected whole numbers")
    return sizes


def _slices(step: Step) -> dict[str, Any]:
    axis = step.get("spatial_dim", 0)
    if axis not in (0, 1, 2) or isinstance(axis, bool):
        raise step.error(f"spatial_dim is {axis!r}, expected 0, 1 or 2")
    return {"roi_size": _sizes(step, 2), "slice_axis": _AXES[axis]}


def _numbers(step: Step, name: str, default: float, axes: int) -> Any:
    """A number from 0 on, or a list with one for each axis."""
    value = step.get(name, default)
    numbers = value if isinstance(value, list) and len(value) == axes else [value]
    if not all(is_number(number) and number >= 0 for number in numbers):
        raise step.error(f"{name} is {value!r}, expected a number from 0 on, or {axes} of them")
    return value


def _weights(step: Step, axes: int) -> dict[str, Any]:
    blend = step.only("mode", "constant", "gaussian") or "constant"
    overlap = _numbers(step, "overlap", 0.25, axes)
    if not all(share < 1 for share in (overlap if isinstance(overlap, list) else [overlap])):
        raise step.error(f"overlap is {overlap!r}, expected less than 1")
    padding = step.only("padding_mode", "constant", "replicate") or "constant"
    args = {"overlap": overlap, "blend": blend, "padding_mode": padding}
    cval = step.number("cval", 0.0)
    if padding == "constant":
        args["cval"] = cval
    sigma = _numbers(step, "sigma_scale", 0.125, axes)
    if blend == "gaussian":
        args["sigma_scale"] = sigma
    return args
