"""The post_transforms of a bundle while they are translated."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpu_infer.imports.bundle.preprocessing import Component, Prepared

RESULT = "model"
"""The field of the model's output."""


@dataclass
class Finish:
    """The post_transforms, and what the last field holds.

    channels   of the model's output, None if it is not known
    stage      scores, labels (one label map), or masks (one per channel, that may overlap)
    merged     channel of each label, if masks became one label map
    extension  of the files that the bundle writes
    """

    prepared: Prepared
    channels: int | None
    nearest_labels: bool
    transforms: list[Component] = field(default_factory=list)
    stage: str = "scores"
    merged: dict[int, int] | None = None
    is_restored: bool = False
    is_saved: bool = False
    extension: str | None = None
