"""MergeMasks: one label map of masks that may overlap."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Arguments, Indices, LabelNumbers, Names, Text
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.field import FieldState
from gpu_infer.transforms.labels.label_dtypes import check_label_dtype, narrowest
from gpu_infer.transforms.memory_order import empty_like


class MergeMasks(Branch):
    """Masks to a [1, X, Y, Z] label map: the label of the last mask that is not 0 in a voxel, else 0.

    The masks are the channels of a field, which becomes the label map; of several fields, each becomes one. With
    `merged_field`, they are the channels of all fields in their order, and a new field is the label map. `labels` has
    one entry per mask. nnU-Net calls it regions_class_order. `order` lists the masks if the last one is not on top.
    """

    name = "MergeMasks"
    needs_labels = True

    class Args(Arguments):
        fields: Names
        labels: LabelNumbers
        merged_field: Text | None = None
        order: Indices | None = None

        @field_validator("order")
        @classmethod
        def _one_each(cls, value: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
            labels = info.data.get("labels")
            if value is not None and labels is not None and sorted(value) != list(range(len(labels))):
                raise ValueError(f"expected the masks 0 to {len(labels) - 1}, each once")
            return value

    @property
    def creates(self) -> tuple[str, ...]:
        return (self.args.merged_field,) if self.args.merged_field else ()

    @property
    def channels(self) -> int | None:
        return len(self.args.labels) if len(self.fields) == 1 else None

    def trace(self, fields: dict[str, FieldState]) -> None:
        self._check(fields)
        for name in self.creates:
            fields[name] = fields[self.fields[0]].copy(name=name, array=None)
        for name in self.creates or self.fields:
            fields[name].channels, fields[name].dtype = 1, narrowest(max(self.args.labels))

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        masks = {name: fields[name].array for name in self.fields}
        for name, array in masks.items():
            check_label_dtype(self, name, array)
        self.trace(fields)
        for name in self.creates:
            fields[name].array = self._merged(list(masks.values()), backend)
        for name in () if self.creates else self.fields:
            fields[name].array = self._merged([masks.pop(name)], backend)

    def _merged(self, masks: list[Array], backend: Backend) -> Array:
        """The label map of all channels of several [K, X, Y, Z]."""
        out = empty_like(masks[0][:1], narrowest(max(self.args.labels)), backend)
        if self.args.order is not None:
            channels = [array[c : c + 1] for array in masks for c in range(array.shape[0])]
            for n, mask in enumerate(self.args.order):
                backend.merge_masks(channels[mask], [self.args.labels[mask]], out[0], over=n > 0)
            return out
        begin = 0
        for array in masks:
            end = begin + array.shape[0]
            backend.merge_masks(array, self.args.labels[begin:end], out[0], over=begin > 0)
            begin = end
        return out

    def _check(self, fields: dict[str, FieldState]) -> None:
        """ConfigError if there is not one label per mask, or if fields to merge are on different grids."""
        labels, names = len(self.args.labels), ", ".join(map(repr, self.fields))
        for group in [self.fields] if self.creates else [(name,) for name in self.fields]:
            masks = sum(fields[name].channels for name in group)
            if masks != labels:
                raise ConfigError(
                    f"{self.place}: labels has {labels} entries, expected {masks}: one for each channel of "
                    + ", ".join(map(repr, group)),
                    remedy=None
                    if self.creates or len(self.fields) == 1
                    else f'to merge {names} into one new field, name it by "merged_field"',
                )
        first = fields[self.fields[0]]
        for state in (fields[name] for name in self.fields if self.creates):
            if state.shape != first.shape:
                raise ConfigError(
                    f"{self.place}: {state.name!r} has the grid {state.shape}, {first.name!r} has {first.shape}",
                    remedy="restore the grid of all of them before, or of none",
                )
            if state.history != first.history:
                raise ConfigError(
                    f"{self.place}: the grids of {state.name!r} and {first.name!r} are of one size, "
                    "but changed by different transforms",
                    remedy="restore the grid of all of them before, or of none",
                )
