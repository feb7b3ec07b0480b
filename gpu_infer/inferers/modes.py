"""A scanning-window mode with its settings: which settings a mode takes, their defaults, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gpu_infer.choices import Mode
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian
from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.volume.geometry import Shape3

Blend = Literal["constant", "gaussian"]
Padding = Literal["constant", "replicate"]
PerAxis = tuple[float, float, float]

MODES: tuple[Mode, ...] = get_args(Mode)

TAKES: dict[Mode, tuple[str, ...]] = {
    "clara": ("cval",),
    "monai": ("overlap", "blend", "sigma_scale", "padding_mode", "cval"),
    "nnunet": ("step_size", "blend", "sigma_scale", "mirror_axes", "cval"),
}
"""Settings that each mode takes. Any other is an error, since it would have no effect."""

_DEFAULTS: dict[Mode, dict[str, Any]] = {"clara": {}, "monai": {}, "nnunet": {"blend": "gaussian"}}


@dataclass(frozen=True)
class WindowMode:
    """How windows are placed, weighted and mirrored. `window_mode` makes and checks one.

    overlap      part of the roi by which neighbours overlap, per axis (monai)
    step_size    part of the roi by which windows move at most (nnunet)
    blend        constant: every voxel of a window counts the same; gaussian: its middle counts more
    sigma_scale  σ of the gaussian as part of the roi, per axis
    mirror_axes  axes (0 X, 1 Y, 2 Z) along which windows are mirrored: the prediction is the mean over all combinations
    padding_mode  constant: `cval` outside the volume; replicate: its nearest voxel (monai)
    cval         value outside the volume
    """

    name: Mode = "clara"
    overlap: PerAxis = (0.25, 0.25, 0.25)
    step_size: float = 0.5
    blend: Blend = "constant"
    sigma_scale: PerAxis = (0.125, 0.125, 0.125)
    mirror_axes: tuple[int, ...] = ()
    padding_mode: Padding = "constant"
    cval: float = 0.0

    def starts(self, axis: int, size: int, roi: int) -> list[int]:
        """Window starts along `axis`, ascending, repeats included; below 0 if the mode pads before the volume."""
        if self.name == "monai":
            return monai_starts(size, roi, self.overlap[axis])
        if self.name == "nnunet":
            return nnunet_starts(size, roi, self.step_size)
        return clara_starts(size, roi)

    def importance(self, roi: Shape3) -> NDArray[np.float32] | None:
        """float32 [R0, R1, R2] on the host; None if every voxel counts 1."""
        if self.blend == "constant":
            return None
        gaussian = nnunet_gaussian if self.name == "nnunet" else monai_gaussian
        return gaussian(roi, self.sigma_scale)

    @property
    def fill(self) -> float | None:
        """Value outside the volume; None: that of the nearest voxel."""
        return None if self.padding_mode == "replicate" else self.cval

    @property
    def mirrors(self) -> tuple[tuple[int, ...], ...]:
        """Every combination of `mirror_axes`, the empty one first, in the order in which they are summed."""
        axes = self.mirror_axes
        return tuple(c for n in range(len(axes) + 1) for c in combinations(axes, n))

    @property
    def settings(self) -> dict[str, Any]:
        """Name and value of every setting that the mode takes, for the report."""
        values = asdict(self)
        return {name: values[name] for name in TAKES[self.name]}


CLARA = WindowMode()
"""The default mode, which has no settings but `cval`."""


def window_mode(name: str, settings: Mapping[str, Any] | None = None) -> WindowMode:
    """The mode `name` with `settings`; a setting of None takes its default.

    Raises ConfigError for an unknown mode, a setting that does not belong to it, sigma_scale without a gaussian, and
    values out of range.
    """
    if name not in MODES:
        raise ConfigError(
            f"scanning-window mode {name!r} does not exist", remedy=f"modes that exist: {', '.join(MODES)}"
        )
    mode = MODES[MODES.index(name)]
    settings = {key: value for key, value in (settings or {}).items() if value is not None}
    for key in settings:
        if key not in TAKES[mode]:
            owners = [other for other in MODES if key in TAKES[other]]
            belongs = (
                f"belongs to mode {' and '.join(owners)}, not to {mode}" if owners else "is no setting of any mode"
            )
            raise ConfigError(f"{key} {belongs}", remedy=f"{mode} takes {', '.join(TAKES[mode])}")
    result = WindowMode(mode, **(_DEFAULTS[mode] | settings))
    if "sigma_scale" in settings and result.blend != "gaussian":
        raise ConfigError(
            "sigma_scale changes nothing with blend constant", remedy="set blend to gaussian, or leave it out"
        )
    if "cval" in settings and result.padding_mode == "replicate":
        raise ConfigError(
            "cval changes nothing with padding_mode replicate", remedy="set padding_mode to constant, or leave it out"
        )
    _check(result)
    return result


def check_fill(mode: WindowMode, model: ModelInfo) -> None:
    """Raise ConfigError if the dtype of the model's input cannot hold the value outside the volume."""
    dtype: np.dtype[Any] = model.input.dtype
    high = float(np.finfo(dtype).max)
    if mode.fill is not None and not abs(mode.fill) <= high:
        raise ConfigError(
            f"cval: found {mode.fill:g}, expected a number from {-high:g} to {high:g}: model {model.name} takes "
            f"{model.input.datatype}",
            remedy="correct cval in inferer.args",
        )


def _check(mode: WindowMode) -> None:
    if mode.blend not in get_args(Blend):
        raise ConfigError(f"blend: found {mode.blend!r}", remedy="expected constant or gaussian")
    if mode.padding_mode not in get_args(Padding):
        raise ConfigError(f"padding_mode: found {mode.padding_mode!r}", remedy="expected constant or replicate")
    if not all(0 <= part < 1 for part in mode.overlap):
        raise ConfigError(f"overlap: found {list(mode.overlap)}", remedy="expected at least 0 and below 1")
    if not 0 < mode.step_size <= 1:
        raise ConfigError(f"step_size: found {mode.step_size:g}", remedy="expected above 0 and at most 1")
    if not all(scale > 0 for scale in mode.sigma_scale):
        raise ConfigError(f"sigma_scale: found {list(mode.sigma_scale)}", remedy="expected numbers above 0")
    axes = mode.mirror_axes
    if len(set(axes)) != len(axes) or not set(axes) <= {0, 1, 2}:
        raise ConfigError(
            f"mirror_axes: found {list(axes)}", remedy="expected 0 (X), 1 (Y) and 2 (Z), each once at most"
        )
