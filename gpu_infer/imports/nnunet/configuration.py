"""A configuration of plans.json (3d_fullres, 2d, …): what the preparation of a volume and the windows follow from.

nnU-Net's arrays are [Z, Y, X] in the order of the file, then transposed by `transpose_forward`. Lists of its plans
(patch, spacing, mirroring axes) count the axes of the transposed array; here they become X, Y, Z of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.fields import Fields

T = TypeVar("T")

READERS = {
    "SimpleITKIO": False,
    "NibabelIO": False,
    "SimpleITKIOWithReorient": True,
    "NibabelIOWithReorient": True,
}
"""Readers of volumes, and whether they turn axes to RAS+."""

_RESAMPLING = "resample_data_or_seg_to_shape"
_PREPROCESSOR = "DefaultPreprocessor"


@dataclass(frozen=True)
class Resampling:
    """Arguments of nnU-Net's default resampling function. force_separate_z None: the spacings decide."""

    order: int
    force_separate_z: bool | None
    anisotropy_threshold: float


@dataclass(frozen=True)
class Configuration:
    """What a configuration says; X, Y, Z are axes of the file, or of RAS+ if `reorients`.

    name        its name in plans.json
    axes        spatial axes of the network's tensors, in their order, the one across slices first if it is 2-D
    is_2d       whether the network takes slices
    patch       window X, Y, Z; 1 across slices
    spacing     mm X, Y, Z; None across slices: that of the file
    schemes     normalisation of each channel
    masked      for each channel, whether the z-score is that of the voxels inside the mask of non-zero voxels
    data, probabilities  how images and logits are resampled
    """

    name: str
    axes: str
    is_2d: bool
    reorients: bool
    patch: tuple[int, ...]
    spacing: tuple[float | None, ...]
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    data: Resampling
    probabilities: Resampling

    @property
    def slice_axis(self) -> str | None:
        """The axis across the slices of a 2-D network."""
        return self.axes[0] if self.is_2d else None

    def mirror_axes(self, axes: Sequence[int]) -> list[int]:
        """Axes (0 X, 1 Y, 2 Z) for the spatial axes of a tensor along which it is mirrored."""
        tensor = self.axes[1:] if self.is_2d else self.axes
        if not set(axes) <= set(range(len(tensor))):
            raise ConfigError(
                f"the checkpoint allows mirroring along axes {list(axes)}, its network has {len(tensor)}",
                remedy="gpu_infer does not import such a model",
            )
        return sorted("XYZ".index(tensor[axis]) for axis in axes)


def read_configuration(plans: Fields, name: str) -> Configuration:
    """The configuration `name` of plans.json; ConfigError for whatever is not carried over."""
    axes = _axes(plans)
    reader = plans.text("image_reader_writer")
    if reader not in READERS:
        plans.refuse("image_reader_writer", f"one of {', '.join(READERS)}")
    if plans.values.get("label_manager", "LabelManager") != "LabelManager":
        plans.refuse("label_manager", "LabelManager")
    section = _resolved(plans, name)
    if section.values.get("previous_stage") is not None:
        section.refuse(
            "previous_stage",
            "none: a cascade's second stage needs the labels of its first, which no configuration can give it",
            "import 3d_fullres or 3d_lowres",
        )
    if section.text("preprocessor_name") != _PREPROCESSOR:
        section.refuse("preprocessor_name", _PREPROCESSOR)
    patch, spacing = section.integers("patch_size"), section.positive_numbers("spacing")
    if len(patch) not in (2, 3) or min(patch) < 1:
        section.refuse("patch_size", "2 or 3 positive numbers")
    if len(spacing) != len(patch):
        section.refuse("spacing", f"{len(patch)} numbers, as patch_size has")
    is_2d = len(patch) == 2
    data = _resampling(section, "resampling_fn_data", (0, 1, 3))
    probabilities = _resampling(section, "resampling_fn_probabilities", (1,))
    if data.anisotropy_threshold != probabilities.anisotropy_threshold:
        section.refuse("resampling_fn_probabilities_kwargs", "the threshold of resampling_fn_data_kwargs")
    masked = section.sequence("use_mask_for_norm")
    if not all(isinstance(flag, bool) for flag in masked):
        section.refuse("use_mask_for_norm", "true or false for each channel")
    return Configuration(
        name=name,
        axes=axes,
        is_2d=is_2d,
        reorients=READERS[reader],
        patch=_by_file_axis(axes, [1, *patch] if is_2d else patch),
        spacing=_by_file_axis(axes, [None, *spacing] if is_2d else spacing),
        schemes=tuple(str(scheme) for scheme in section.sequence("normalization_schemes")),
        masked=tuple(masked),
        data=data,
        probabilities=probabilities,
    )


def _axes(plans: Fields) -> str:
    forward = plans.integers("transpose_forward")
    if sorted(forward) != [0, 1, 2]:
        plans.refuse("transpose_forward", "an order of 0, 1 and 2")
    backward = plans.integers("transpose_backward")
    if [forward[axis] for axis in backward if axis in (0, 1, 2)] != [0, 1, 2]:
        plans.refuse("transpose_backward", f"the inverse of transpose_forward {forward}")
    return "".join("ZYX"[axis] for axis in forward)


def _by_file_axis(axes: str, values: Sequence[T]) -> tuple[T, ...]:
    """Values of the transposed axes as X, Y, Z."""
    return tuple(values[axes.index(axis)] for axis in "XYZ")


def _resolved(plans: Fields, name: str, heirs: tuple[str, ...] = ()) -> Fields:
    """A configuration with what it inherits."""
    configurations = plans.section("configurations")
    if name not in configurations:
        raise ConfigError(
            f"{plans.path}: has no configuration {name!r}",
            remedy=f"configurations that exist: {', '.join(configurations.values)}",
        )
    own = configurations.section(name)
    if "inherits_from" not in own:
        return own
    if name in heirs:
        raise ConfigError(f"{plans.path}: configuration {name!r} inherits from itself", remedy="copy the file again")
    parent = _resolved(plans, own.text("inherits_from"), (*heirs, name))
    return Fields(plans.path, {**parent.values, **own.values}, f"configurations.{name}.")


def _resampling(section: Fields, key: str, orders: tuple[int, ...]) -> Resampling:
    if section.text(key) != _RESAMPLING:
        section.refuse(key, _RESAMPLING)
    kwargs = section.section(f"{key}_kwargs")
    known: dict[str, Any] = {
        "is_seg": (False,),
        "order": orders,
        "order_z": (0,),
        "force_separate_z": (None, True, False),
    }
    for name, value in kwargs.values.items():
        if name == "separate_z_anisotropy_threshold":
            kwargs.number(name)
        elif name not in known:
            kwargs.refuse(name, f"no other argument than {', '.join(known)}")
        elif value not in known[name]:
            kwargs.refuse(name, " or ".join(str(allowed) for allowed in known[name]))
    order = int(kwargs.values.get("order", 3))
    if order not in orders:
        kwargs.refuse("order", " or ".join(map(str, orders)))
    return Resampling(
        order=order,
        force_separate_z=kwargs.values.get("force_separate_z", False),
        anisotropy_threshold=float(kwargs.values.get("separate_z_anisotropy_threshold", 3)),
    )
