"""CropForegroundObject: crop to the bounding box of the voxels above a threshold."""

from __future__ import annotations

import logging

from pydantic import model_validator

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Arguments, Margin, Names, Number, Text
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.extent import bounding_box
from gpu_infer.transforms.field import FieldState

log = logging.getLogger(__name__)


class CropForegroundObject(Branch):
    """Crops all `fields` to the bounding box of the voxels of `label_field` (by default the first of
    `fields`) that exceed `threshold` in any channel, widened by `pad` voxels on every side and clipped to the grid.

    If nothing exceeds the threshold, nothing is cropped, and a warning is logged. RestoreOriginalShape puts the box
    back into a background of 0. `image_field` is another name for `fields`.
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

        @model_validator(mode="before")
        @classmethod
        def _alias(cls, arguments: object) -> object:
            if isinstance(arguments, dict) and "image_field" in arguments:
                if "fields" in arguments:
                    raise ValueError('"image_field" and "fields" are the same argument: keep one')
                return {("fields" if k == "image_field" else k): v for k, v in arguments.items()}
            return arguments

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
        threshold = self.args.threshold
        box = bounding_box(source.array, threshold, backend)
        if box is None:
            log.warning("%s: nothing in %r exceeds %g, nothing is cropped", self.place, self._source, threshold)
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

    def _check(self, fields: dict[str, FieldState]) -> None:
        source = fields[self._source]
        for name in self.fields:
            if fields[name].shape != source.shape:
                raise ConfigError(
                    f"{self.place}: {name!r} has the grid {fields[name].shape}, {self._source!r} has {source.shape}",
                    remedy="crop fields of one grid together",
                )
