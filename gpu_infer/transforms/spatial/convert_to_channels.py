"""ConvertToChannelsFirst and ConvertToChannelsLast: where the channel axis is said to be."""

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
    """Adds the channel axis in front, or moves it there. Arrays are [C, X, Y, Z] throughout, so no voxel
    moves."""

    name = "ConvertToChannelsFirst"
    target = "first"


class ConvertToChannelsLast(_ConvertToChannels):
    """Adds the channel axis behind, or moves it there: the model's windows are then [X, Y, Z, C]."""

    name = "ConvertToChannelsLast"
    target = "last"
