"""What is known about the labels of a label map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gpu_infer.label_table.palette import Rgb, palette_colour

BACKGROUND = 0


@dataclass(frozen=True)
class Code:
    """A coded concept as DICOM writes it: ("39607008", "SCT", "Lung")."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One label.

    value     its number in the label map
    name      for people
    colour    red, green, blue, each 0 to 255
    category  what kind of thing it is, for example ("123037004", "SCT", "Anatomical Structure"); None: not known
    type      which one, for example ("39607008", "SCT", "Lung")
    modifier  of the type, for example ("24028007", "SCT", "Right")
    """

    value: int
    name: str
    colour: Rgb
    category: Code | None = None
    type: Code | None = None
    modifier: Code | None = None


@dataclass(frozen=True)
class LabelTable:
    """The labels that a configuration describes; every other number has a default name and a colour of the palette.

    described  by number
    source     the file that describes them, for messages; empty if there is none
    """

    described: Mapping[int, Label] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""

    def __getitem__(self, value: int) -> Label:
        """The label with the number `value`, which is an integer of any kind."""
        number = int(value)
        if number in self.described:
            return self.described[number]
        name = "background" if number == BACKGROUND else f"label {number}"
        return Label(number, name, palette_colour(number))

    def is_described(self, value: int) -> bool:
        """Whether the configuration describes the label, so that its name is not the default one."""
        return int(value) in self.described
