"""SplitBasedOnBratsClasses: the nested regions of a brain tumour."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import field_validator

from gpu_infer.transforms.arguments import Arguments, Names, Text
from gpu_infer.transforms.labels.split_masks import SplitMasks

REGIONS: dict[str, tuple[int, ...]] = {"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}
"""BraTS labels: 1 necrotic core, 2 oedema, 4 enhancing tumour. Tumour core, whole tumour, enhancing tumour."""

_OTHER_NAMES = {"WC": "WT"}


class SplitBasedOnBratsClasses(SplitMasks):
    """Makes the masks that `class_names` lists, of TC (labels 1 and 4), WT (1, 2 and 4; also written WC) and ET (4)."""

    name = "SplitBasedOnBratsClasses"

    class Args(Arguments):
        field: Text
        class_names: Names = tuple(REGIONS)

        @field_validator("class_names")
        @classmethod
        def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            for name in value:
                if name not in REGIONS and name not in _OTHER_NAMES:
                    raise ValueError(f'expected names out of {", ".join(REGIONS)}, not "{name}"')
            return value

    @property
    def members(self) -> Mapping[str, tuple[int, ...]]:
        names: tuple[str, ...] = self.args.class_names
        return {name: REGIONS[_OTHER_NAMES.get(name, name)] for name in names}
