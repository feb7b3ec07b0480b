"""CropForegroundObject: crop to the bounding box of the voxels above a threshold, or of those that are not 0."""

from __future__ import annotations

import logging
from typing import Self

from pydantic import model_validator

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Arguments, Flag, Indices, Margin, Names, Number, Text
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.extent import Extent, bounding_box
from gpu_infer.transforms.field import FieldState

log = logging.getLogger(__name__)


class CropForegroundObject(Branch):
    """Crops all `fields` to the bounding box of the voxels of `label_field` (by default the first of
    `fields`) that exceed `threshold` in any channel, widened by `pad` voxels on every side and clipped to the grid.

    With `nonzero`, which is nnU-Net's rule, it is the box of the voxels that are not 0. `channel_indices` are the
    channels that count, from 0 on. If there is no such voxel, nothing is cropped, and a warning is logged.
    RestoreOriginalShape puts the box back into a background of 0. `image_field` is another name for `fields`.
    """

    name = "CropForegroundObject"
    changes_grid = True
    makes_views = True
    decided_by_voxels = True

    class Args(Arguments):
        fields: Names
        label_field: Text | None = None
        threshold: Number = 0.0
        pad: Margin = 0
        nonzero: Flag = False
        channel_indices: Indices | None = None

        @model_validator(mode="before")
        @classmethod
        def _alias(cls, arguments: object) -> object:
            if isinstance(arguments, dict) and "image_field" in arguments:
                if "fields" in arguments:
                    raise ValueError('"image_field" and "fields" are the same argument: keep one')
                return {("fields" if k == "image_field" else k): v for k, v in arguments.items()}
            return arguments

        @model_validator(mode="after")
        def _one_rule(self) -> Self:
            if self.nonzero and "threshold" in self.model_fields_set:
                raise ValueError('"nonzero" crops to the voxels that are not 0: leave "threshold" out')
            return self

    @property
    def _source(self) -> str:
        return self.args.label_field or self.fields[0]

    @property
    def references(self) -> tuple[str, ...]:
        return () if self._source in self.fields else (self._source,)

    def trace(self, fields: dict[str, FieldState]) -> None:
        """The whole grid is the upper bound."""
        self._check(fields)

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        self._check(fields)
        source = fields[self._source]
        box = self._bounding_box(source, backend)
        if box is None:
            rule = "is not 0" if self.args.nonzero else f"exceeds {self.args.threshold:g}"
            log.warning("%s: nothing in %r %s, nothing is cropped", self.place, self._source, rule)
            return
        starts = [max(0, low - self.args.pad) for low, _ in box]
        stops = [min(n, high + self.args.pad) for (_, high), n in zip(box, source.shape, strict=True)]
        x, y, z = starts
        a, b, c = (stop - start for start, stop in zip(starts, stops, strict=True))
        if (a, b, c) == source.shape:
            return
        view = (slice(None), *(slice(start, stop) for start, stop in zip(starts, stops, strict=True)))
        for name in self.fields:
            fields[name].array = fields[name].array[view]
            fields[name].windowed((x, y, z), (a, b, c))

    def _bounding_box(self, source: FieldState, backend: Backend) -> Extent | None:
        """The box of all channels that count."""
        value, channels = None if self.args.nonzero else self.args.threshold, self.args.channel_indices
        if channels is None:
            return bounding_box(source.array, value, backend)
        boxes = [bounding_box(source.array[c : c + 1], value, backend) for c in channels]
        axes = [[box[axis] for box in boxes if box is not None] for axis in range(3)]
        if not axes[0]:
            return None
        x, y, z = ((min(low for low, _ in ends), max(high for _, high in ends)) for ends in axes)
        return x, y, z

    def _check(self, fields: dict[str, FieldState]) -> None:
        source = fields[self._source]
        channels = self.args.channel_indices
        if channels is not None and max(channels) >= source.channels:
            raise ConfigError(
                f"{self.place}: channel_indices has {max(channels)}, {self._source!r} has {source.channels} channels",
                remedy="count channels from 0 on",
            )
        for name in self.fields:
            if fields[name].shape != source.shape:
                raise ConfigError(
                    f"{self.place}: {name!r} has the grid {fields[name].shape}, {self._source!r} has {source.shape}",
                    remedy="crop fields of one grid together",
                )
