"""ConvertToChannelsFirst and ConvertToChannelsLast: the channel axis in the model's windows."""

from __future__ import annotations

from typing import ClassVar

from gpu_infer.transforms.base import Metadata
from gpu_infer.transforms.field import ChannelAxis, FieldState


class _ConvertToChannels(Metadata):
    target: ClassVar[ChannelAxis]

    def update(self, fields: dict[str, FieldState]) -> None:
        for name in self.fields:
            fields[name].channel_axis = self.target


class ConvertToChannelsFirst(_ConvertToChannels):
    """Adds the channel axis as the first one, or moves it there. Arrays are always [C, X, Y, Z], so no voxel moves."""

    name = "ConvertToChannelsFirst"
    target = "first"


class ConvertToChannelsLast(_ConvertToChannels):
    """Adds the channel axis as the last one, or moves it there: the model's windows are then [X, Y, Z, C]."""

    name = "ConvertToChannelsLast"
    target = "last"
