"""A group of slots: one input area, and an output area for each model that gets these windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.triton.slot import Slot
from gpu_infer.triton.slot_layout import SlotLayout, aligned


class WindowSizes(NamedTuple):
    """Sizes of a slot's tensors: the window (R0, R1, R2), channels in and out, and windows of a request."""

    window: tuple[int, int, int]
    channels_in: int
    channels_out: int
    batch: int


class GroupLayout:
    """The places of groups in an arena.

    models  of the slots of a group, in order
    layouts one per model
    batch   windows of a group at most: what every model takes
    """

    def __init__(self, models: Sequence[ModelInfo], sizes: WindowSizes, layout: TensorLayout) -> None:
        self.models = tuple(models)
        self.layouts = [SlotLayout(model, *sizes, layout) for model in models]
        self.batch = min(layout.batch for layout in self.layouts)
        self._input_bytes = max(aligned(layout.bytes_in(layout.batch)) for layout in self.layouts)
        self._output_bytes = [aligned(layout.bytes_out(layout.batch)) for layout in self.layouts]
        self.group_bytes = self._input_bytes + sum(self._output_bytes)

    def slots(self, group: int) -> list[Slot]:
        """The slots of a group, numbered through all groups, without memory yet."""
        at = group * self.group_bytes
        slots, output_at = [], at + self._input_bytes
        for n, nbytes in enumerate(self._output_bytes):
            slots.append(Slot(group * len(self.models) + n, at, output_at))
            output_at += nbytes
        return slots

    def of(self, slot: Slot) -> SlotLayout:
        """The layout of a slot's tensors."""
        return self.layouts[slot.number % len(self.layouts)]

    def model(self, slot: Slot) -> ModelInfo:
        """The model of a slot."""
        return self.models[slot.number % len(self.models)]
