"""SplitBasedOnLabel: make a mask of every label."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_infer.transforms.arguments import Arguments, Names, Text
from gpu_infer.transforms.labels.split_masks import SplitMasks


class SplitBasedOnLabel(SplitMasks):
    """Makes one mask per entry of `label_names`: the first is 1 where the label is 0, the second where it is 1, …"""

    name = "SplitBasedOnLabel"

    class Args(Arguments):
        field: Text
        label_names: Names

    @property
    def members(self) -> Mapping[str, tuple[int, ...]]:
        return {name: (label,) for label, name in enumerate(self.args.label_names)}
