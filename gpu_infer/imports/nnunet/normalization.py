"""nnU-Net's normalisation schemes as transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.configuration import Configuration
from gpu_infer.imports.nnunet.fields import Fields

Component = dict[str, Any]

_LEAST_DEVIATION = 1e-8

SCHEMES = {
    "CTNormalization": "ct",
    "ZScoreNormalization": "zscore",
    "RescaleTo01Normalization": "rescale",
    "RGBTo01Normalization": "rgb",
    "NoNormalization": "none",
}
"""Schemes of plans.json, and of NormalizeAsNnunet."""

Kind = tuple[str, bool, tuple[float, ...]]
"""A scheme, whether it has a mask, and the properties of the foreground that it uses."""


def normalization(plans: Fields, configuration: Configuration) -> list[Component]:
    """The transforms of the field "image"; ConfigError for schemes that are not carried over."""
    kinds: list[Kind] = []
    for channel, (scheme, masked) in enumerate(zip(configuration.schemes, configuration.masked, strict=True)):
        if scheme not in SCHEMES:
            raise ConfigError(
                f"{plans.path}: {configuration.name}: channel {channel} has the normalisation {scheme}, "
                f"expected one of {', '.join(SCHEMES)}",
                remedy="gpu_infer does not import such a model",
            )
        # a mask has a part in no other scheme
        kinds.append((scheme, masked and scheme == "ZScoreNormalization", _properties(plans, scheme, channel)))
    return [_each(kinds)] if len(set(kinds)) > 1 else _components(*kinds[0])


def _each(kinds: Sequence[Kind]) -> Component:
    """One transform for channels of different kinds."""
    schemes = ["masked_zscore" if masked else SCHEMES[scheme] for scheme, masked, _ in kinds]
    arguments: Component = {"schemes": schemes}
    if "ct" in schemes:
        arguments["foreground"] = [
            [low, high, mean, max(deviation, _LEAST_DEVIATION)] if rest else None
            for _, _, rest in kinds
            for low, high, mean, deviation in [rest or (0.0, 0.0, 0.0, 0.0)]
        ]
    return _component("NormalizeAsNnunet", **arguments)


def _components(scheme: str, masked: bool, properties: tuple[float, ...]) -> list[Component]:
    if scheme == "CTNormalization":
        low, high, mean, deviation = properties
        center = {"subtrahend": mean, "divisor": max(deviation, _LEAST_DEVIATION)}
        return [_component("ClipIntensity", minv=low, maxv=high), _component("CenterData", **center)]
    if scheme == "ZScoreNormalization":
        mask: Component = {"use_mask_for_norm": True} if masked else {"channel_wise": True}
        return [_component("NormalizeIntensity", **mask)]
    if scheme == "RescaleTo01Normalization":
        return [_component("ScaleIntensity", minv=0.0, maxv=1.0, channel_wise=True)]
    if scheme == "RGBTo01Normalization":
        return [_component("CenterData", subtrahend=0.0, divisor=255.0)]
    return []


def _properties(plans: Fields, scheme: str, channel: int) -> tuple[float, ...]:
    """The range, mean and deviation of the foreground that CTNormalization uses."""
    if scheme != "CTNormalization":
        return ()
    key = "foreground_intensity_properties_per_channel"
    if key not in plans:
        key = "foreground_intensity_properties_by_modality"
    values = plans.section(key).section(str(channel))
    return tuple(values.number(name) for name in ("percentile_00_5", "percentile_99_5", "mean", "std"))


def _component(name: str, **arguments: Any) -> Component:
    return {"name": name, "args": {"fields": "image", **arguments}}
