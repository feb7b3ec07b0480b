"""SplitAcrossChannels: make a field of every channel."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Backend
from gpu_infer.transforms.arguments import Arguments, Names, Text
from gpu_infer.transforms.base import Branch
from gpu_infer.transforms.field import FieldState


class SplitAcrossChannels(Branch):
    """Makes one field of one channel for every channel of `field`, named by `channel_names` in their order.

    The new fields are of the same kind and are views: no voxel is copied.
    """

    name = "SplitAcrossChannels"
    makes_views = True

    class Args(Arguments):
        field: Text
        channel_names: Names

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.args.field,)

    @property
    def creates(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.args.channel_names
        return names

    @property
    def channels(self) -> int | None:
        return len(self.creates)

    def trace(self, fields: dict[str, FieldState]) -> None:
        origin = fields[self.args.field]
        for name in self.creates:
            fields[name] = origin.copy(name=name, channels=1, array=None)

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        self.trace(fields)
        array = fields[self.args.field].array
        for channel, name in enumerate(self.creates):
            fields[name].array = array[channel : channel + 1]
