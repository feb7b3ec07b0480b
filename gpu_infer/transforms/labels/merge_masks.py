"""MergeMasks: one label map of masks that may overlap."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.arguments import LabelNumbers
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype, narrowest
from gpu_infer.transforms.memory_order import empty_like


class MergeMasks(Barrier):
    """[K, X, Y, Z] masks to a [1, X, Y, Z] label map: the label of the last channel whose mask is not 0, else 0.

    `labels` has one entry per channel. nnU-Net calls it regions_class_order.
    """

    name = "MergeMasks"
    needs_labels = True

    class Args(FieldsArguments):
        labels: LabelNumbers

    @property
    def channels(self) -> int | None:
        return len(self.args.labels)

    def trace(self, field: FieldState) -> None:
        field.channels, field.dtype = 1, narrowest(max(self.args.labels))

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        check_label_dtype(self, field.name, array)
        out = empty_like(array[:1], narrowest(max(self.args.labels)), backend)
        backend.merge_masks(array, self.args.labels, out[0])
        return out
