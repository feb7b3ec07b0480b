"""Labels and regions of dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.fields import Fields
from gpu_infer.imports.nnunet.labels import read_labels


def labels_of(labels: dict[str, Any], **more: Any) -> Any:
    return read_labels(Fields(Path("dataset.json"), {"labels": labels, **more}))


def test_labels_in_any_order() -> None:
    labels = labels_of({"background": 0, "tumour": 2, "liver": [1], "ignore": 3})
    assert labels.names == {0: "background", 1: "liver", 2: "tumour"}
    assert (labels.regions, labels.heads) == (None, 3)


def test_a_label_that_regions_paint_has_the_name_of_the_last() -> None:
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    labels = labels_of(regions, regions_class_order=[1, 2, 3])
    assert labels.names == {0: "background", 1: "whole", 2: "core", 3: "enhancing"}
    assert (labels.regions, labels.heads) == ((1, 2, 3), 3)


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        ({"background": 1}, {}, "background: found 1, expected 0"),
        ({"background": 0, "a": 2}, {}, "expected the labels 0, 1, 2"),
        ({"background": 0, "a": "1"}, {}, "labels.a: found"),
        ({"background": 0, "a": 300}, {}, "a label of 0 to 254"),
        ({"background": 0, "a": [1, 2], "b": 2}, {}, "regions_class_order: found null, expected a list"),
        ({"background": 0, "a": [1, 2], "b": 2}, {"regions_class_order": [1]}, "expected 2 labels of 1 to 254"),
        ({"background": 0}, {}, "expected the labels 0, 1, 2"),
    ],
)
def test_refused_labels(labels: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        labels_of(labels, **more)
