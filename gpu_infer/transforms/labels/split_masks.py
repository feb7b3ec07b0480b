"""What the transforms that make masks of a label map share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype
from gpu_infer.transforms.memory_order import empty_like


class SplitMasks(Branch):
    """Makes one uint8 mask per entry of `members`: 1 where the label of `field` is one of its ids, else 0."""

    makes_labels = True
    needs_labels = True
    keeps_label_numbers = True

    @property
    @abstractmethod
    def members(self) -> Mapping[str, tuple[int, ...]]:
        """Label ids by the name of the new field."""

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.args.field,)

    @property
    def creates(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def channels(self) -> int | None:
        return 1

    def trace(self, fields: dict[str, FieldState]) -> None:
        origin = fields[self.args.field]
        for name in self.members:
            fields[name] = origin.copy(name=name, kind="labels", dtype=np.dtype(np.uint8), array=None)

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        self.trace(fields)
        labels = fields[self.args.field].array
        check_label_dtype(self, self.args.field, labels)
        classes = np.iinfo(labels.dtype).max + 1
        for name, ids in self.members.items():
            table = np.zeros(classes, np.uint8)
            table[[label for label in ids if label < classes]] = 1
            fields[name].array = empty_like(labels, np.uint8, backend)
            backend.lookup(labels, table, fields[name].array)
