"""RelabelValues: replace labels by others."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationInfo, field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.arguments import LabelNumbers
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import DType, FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype, narrowest
from gpu_infer.transforms.memory_order import empty_like


class RelabelValues(Barrier):
    """A voxel of label `orig_labels[n]` gets label `target_labels[n]`, all at once; other labels do not change.

    The result is uint16 if the field is or if a target is above 255, else uint8.
    """

    name = "RelabelValues"
    needs_labels = True

    class Args(FieldsArguments):
        orig_labels: LabelNumbers
        target_labels: LabelNumbers

        @field_validator("orig_labels")
        @classmethod
        def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
            if len(set(value)) != len(value):
                raise ValueError("expected every label once")
            return value

        @field_validator("target_labels")
        @classmethod
        def _one_each(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
            labels = info.data.get("orig_labels")
            if labels is not None and len(labels) != len(value):
                raise ValueError(f"expected {len(labels)} labels, one for each of orig_labels")
            return value

    def trace(self, field: FieldState) -> None:
        field.dtype = self._dtype(field.dtype)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        out = empty_like(array, self._dtype(array.dtype), backend)
        classes = int(np.iinfo(array.dtype).max) + 1
        table = np.arange(classes, dtype=out.dtype)
        for label, target in zip(self.args.orig_labels, self.args.target_labels, strict=True):
            if label < classes:
                table[label] = target
        backend.lookup(array, table, out)
        return out

    def _dtype(self, dtype: DType) -> DType:
        return np.promote_types(dtype, narrowest(max(self.args.target_labels)))
