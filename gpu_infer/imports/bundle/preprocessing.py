"""Translate the `preprocessing` of a bundle into pre_transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.step import BY_HAND, Step
from gpu_infer.imports.nnunet.fields import is_number

Component = dict[str, Any]

CASTS = ("EnsureTyped", "CastToTyped", "ToTensord", "ToDeviced", "Identityd")
"""Transforms that change no voxel: volumes are float32 from the file to the model."""


@dataclass(frozen=True)
class Prepared:
    """The pre_transforms of the field `key`, what they do to the grid, and the section that they are made of.

    is_nearest  the grid is resampled by the nearest voxel
    """

    key: str
    source: Any
    transforms: list[Component]
    resamples: bool
    crops: bool
    is_nearest: bool = False


def component(name: str, **args: Any) -> Component:
    return {"name": name, "args": args}


def translate_preprocessing(steps: Sequence[Step], source: Any, files: Sequence[str] = ()) -> Prepared:
    """The pre_transforms of a bundle.

    source  the section of the bundle
    files   patterns of the files of one channel each; empty: one file has all channels

    Raises ConfigError for a transform or an argument that is not imported.
    """
    if not steps or steps[0].name != "LoadImaged":
        place = steps[0].place if steps else "preprocessing"
        raise ConfigError(f"{place}: expected LoadImaged first", remedy=BY_HAND)
    key = _load(steps[0])
    canonical = resamples = crops = False
    chain: list[Component] = []
    for step in steps[1:]:
        step.only("keys", key)
        match step.name:
            case "EnsureChannelFirstd" | "AddChanneld":
                step.only("channel_dim", "no_channel", -1, 3)
                step.skip("strict_check")
            case "Orientationd":
                _check_axis_labels(step)
                if step.only("axcodes", "RAS") is None or step.flag("as_closest_canonical") or resamples or crops:
                    raise step.error('expected axcodes "RAS", before Spacingd and CropForegroundd')
                canonical = True
            case "Spacingd":
                chain.append(_spacing(step, key))
                resamples = True
            case "CropForegroundd":
                chain.append(_crop(step, key))
                crops = True
            case name if name in _INTENSITIES:
                chain.append(_INTENSITIES[name](step, key))
            case name if name in CASTS:
                step.only("dtype", "float32")
            case _:
                raise step.error("is not imported")
        step.finish()
    load: Component = {"fields": key, "as_closest_canonical": canonical}
    if files:
        load["files"] = list(files)
    head = [{"name": "LoadNifti", "args": load}, component("ConvertToChannelsFirst", fields=key)]
    return Prepared(key, source, head + chain, resamples, crops, _is_nearest(steps))


def _is_nearest(steps: Sequence[Step]) -> bool:
    """Whether volumes are resampled by the nearest voxel, which Invertd repeats.

    Raises ConfigError for several resamplings of which only some are.
    """
    spacings = [step for step in steps if step.name == "Spacingd"]
    nearest = [step for step in spacings if step.only("mode", "bilinear", "nearest") == "nearest"]
    if nearest and len(nearest) < len(spacings):
        raise nearest[0].error("mode is 'nearest', expected that of the other Spacingd")
    return bool(nearest)


def _load(step: Step) -> str:
    keys = step.get("keys")
    key = keys[0] if isinstance(keys, list) and len(keys) == 1 else keys
    if not isinstance(key, str):
        raise step.error(f"keys is {keys!r}, expected one key")
    step.only("dtype", "float32")
    _check_reader(step)
    step.skip("image_only", "ensure_channel_first", "simple_keys", "overwriting", "prune_meta_pattern")
    step.finish()
    return key


def _check_reader(step: Step) -> None:
    """A reader by its name: its own arguments can turn or scale the volume."""
    reader = step.get("reader")
    if isinstance(reader, dict) and set(reader) - {"_target_"}:
        names = ", ".join(sorted(set(reader) - {"_target_"}))
        raise step.error(f"reader has {names}, expected a reader without arguments")


def _check_axis_labels(step: Step) -> None:
    """MONAI's names of the axes' ends; in another order, RAS means other axes."""
    labels = step.get("labels")
    if labels is not None and labels != [["L", "R"], ["P", "A"], ["I", "S"]]:
        raise step.error(f"labels is {labels!r}, expected none")


def _spacing(step: Step, key: str) -> Component:
    mode = step.only("mode", "bilinear", "nearest") or "bilinear"
    step.only("padding_mode", "border")
    step.only("dtype", "float32", "float64")
    for name in ("diagonal", "scale_extent", "recompute_affine", "align_corners"):
        step.only(name, False)
    for name in ("min_pixdim", "max_pixdim"):
        step.only(name)
    step.skip("ensure_same_shape")
    return component(
        "ScaleByResolution",
        fields=key,
        target_resolution=_pixdim(step),
        placement="monai",
        interpolation="nearest" if mode == "nearest" else "linear",
    )


def _pixdim(step: Step) -> list[Any]:
    """An axis of which pixdim is not positive stays as it is."""
    value = step.get("pixdim")
    if isinstance(value, list) and len(value) == 3 and all(map(is_number, value)):
        return [v if v > 0 else None for v in value]
    return step.positive_numbers("pixdim", 3)


def _crop(step: Step, key: str) -> Component:
    step.only("source_key", key)
    if step.get("source_key") is None:
        raise step.error("source_key is missing")
    step.only("k_divisible", 1)
    margin = step.get("margin", 0)
    if type(margin) is not int or margin < 0:
        raise step.error(f"margin is {margin!r}, expected a number of voxels")
    if margin and not step.flag("allow_smaller"):
        raise step.error("allow_smaller is false, so that margin pads beyond the volume, expected true")
    step.skip("allow_smaller", "mode", "start_coord_key", "end_coord_key")
    for name in ("select_fn", "channel_indices"):
        step.only(name)
    return component("CropForegroundObject", fields=key, **({"pad": margin} if margin else {}))


def _range(step: Step, key: str) -> Component:
    ends = {name: step.number(name) for name in ("a_min", "a_max", "b_min", "b_max")}
    step.only("dtype", "float32")
    clip = step.flag("clip")
    if ends["a_min"] == ends["a_max"]:
        raise step.error(f"a_min and a_max are both {ends['a_min']}")
    if clip and ends["b_min"] > ends["b_max"]:
        raise step.error("b_min exceeds b_max with clip, which makes every voxel b_max")
    return component("ScaleIntensityRange", fields=key, **ends, clip=clip)


def _percentiles(step: Step, key: str) -> Component:
    ends = {name: step.number(name) for name in ("lower", "upper", "b_min", "b_max")}
    step.only("dtype", "float32")
    flags = {name: step.flag(name) for name in ("clip", "relative", "channel_wise")}
    if flags["clip"] and ends["b_min"] > ends["b_max"]:
        raise step.error("b_min exceeds b_max with clip, which makes every voxel b_max")
    return component("ScaleIntensityRangePercentiles", fields=key, **ends, **flags)


def _scale(step: Step, key: str) -> Component:
    step.only("factor")
    step.only("dtype", "float32")
    ends = {"minv": step.number("minv", 0.0), "maxv": step.number("maxv", 1.0)}
    return component("ScaleIntensity", fields=key, **ends, channel_wise=step.flag("channel_wise"))


def _normalize(step: Step, key: str) -> Component:
    step.only("dtype", "float32")
    flags = {name: step.flag(name) for name in ("nonzero", "channel_wise")}
    fixed = {name: step.number(name) for name in ("subtrahend", "divisor") if step.get(name) is not None}
    if fixed and any(flags.values()):
        raise step.error("subtrahend and divisor with nonzero or channel_wise are not imported")
    if fixed:
        return component("CenterData", fields=key, **fixed)
    return component("NormalizeIntensity", fields=key, **flags)


_INTENSITIES: dict[str, Callable[[Step, str], Component]] = {
    "ScaleIntensityRanged": _range,
    "ScaleIntensityRangePercentilesd": _percentiles,
    "ScaleIntensityd": _scale,
    "NormalizeIntensityd": _normalize,
}
