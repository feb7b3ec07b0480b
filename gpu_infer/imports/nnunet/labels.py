"""Labels and regions of dataset.json."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.imports.nnunet.fields import Fields

LARGEST = 254
"""nnU-Net writes more labels than these as uint16."""


@dataclass(frozen=True)
class Labels:
    """What the channels of the network's output mean.

    names    of the labels in a label map, 0 among them
    regions  label of each output channel, later ones over earlier ones; None: a channel is a label, the highest wins
    heads    output channels
    """

    names: dict[int, str]
    regions: tuple[int, ...] | None
    heads: int


def read_labels(dataset: Fields) -> Labels:
    """The labels; ConfigError for those that nnU-Net's argmax would number otherwise."""
    labels = dataset.section("labels")
    if labels.values.get("background") != 0:
        labels.refuse("background", "0")
    entries = {name: value for name, value in labels.values.items() if name != "ignore"}
    for name, value in entries.items():
        numbers = value if isinstance(value, list) else [value]
        if not numbers or not all(type(n) is int and 0 <= n <= LARGEST for n in numbers):
            labels.refuse(name, f"a label of 0 to {LARGEST}, or a list of them")
    if any(isinstance(value, list) and len(value) > 1 for value in entries.values()):
        regions = [name for name, value in entries.items() if value != 0 and set(_listed(value)) != {0}]
        order = dataset.integers("regions_class_order")
        if len(order) != len(regions) or not all(1 <= label <= LARGEST for label in order):
            dataset.refuse("regions_class_order", f"{len(regions)} labels of 1 to {LARGEST}, one per region")
        names = {0: "background", **dict(zip(order, regions, strict=True))}
        return Labels(names, tuple(order), len(regions))
    names = {_listed(value)[0]: name for name, value in entries.items()}
    if sorted(names) != list(range(len(entries))) or len(names) < 2:
        dataset.refuse("labels", "the labels 0, 1, 2, …, each once: nnU-Net numbers them so")
    return Labels(dict(sorted(names.items())), None, len(names))


def _listed(value: object) -> list[int]:
    return value if isinstance(value, list) else [int(str(value))]
