"""Functions that make one label map of masks, recognised without a call."""

from __future__ import annotations

import ast
from itertools import product
from typing import Any

import numpy as np
import pytest
from bundle_cases import WHERE

from gpu_infer.imports.bundle.label_map import LabelMap, read_label_map

FUNCTIONS = [
    WHERE,
    "$lambda x: np.where(x[1:2] >= 0.5, 3, 0)",
    "$lambda masks: numpy.where(masks[[0]] == 1, 7, numpy.where(masks[[2]] > 0.5, 1, 0))",
]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_the_label_map_is_that_of_the_function(text: str) -> None:
    """Of all combinations of three masks; the oracle runs the function."""
    label_map = read_label_map(text, 3)
    assert label_map is not None
    masks = np.array(list(product((0, 1), repeat=3))).T
    expected = _run(text)(masks)[0]
    merged = np.zeros(masks.shape[1], int)
    for channel in label_map.order:
        merged[masks[channel] != 0] = label_map.labels[channel]
    np.testing.assert_array_equal(merged, expected)


def _run(text: str) -> Any:
    names = {"np": np, "numpy": np, "torch": np}
    return eval(compile(ast.parse(text[1:], mode="eval"), "function", "eval"), names)  # our own texts


def test_channels_that_the_function_does_not_read_come_first() -> None:
    assert read_label_map(FUNCTIONS[1], 3) == LabelMap([0, 3, 0], [0, 2, 1])


@pytest.mark.parametrize(
    "text",
    [
        "$lambda x: x",
        "$lambda x: 0",
        "$lambda x, y: torch.where(x[[0]] > 0, 1, 0)",
        "$lambda x: torch.where(y[[0]] > 0, 1, 0)",
        "$lambda x: torch.where(x[[3]] > 0, 1, 0)",
        "$lambda x: torch.where(x[[-1]] > 0, 1, 0)",
        "$lambda x: torch.where(x[[0, 1]] > 0, 1, 0)",
        "$lambda x: torch.where(x[0] > 0, 1, 0)",
        "$lambda x: torch.where(x[0:2] > 0, 1, 0)",
        "$lambda x: torch.where(x[[0]] > 1, 1, 0)",
        "$lambda x: torch.where(x[[0]] < 1, 1, 0)",
        "$lambda x: torch.where(x[[0]] >= 0, 1, 0)",
        "$lambda x: torch.where(x[[0]] > 0, 1, 5)",
        "$lambda x: torch.where(x[[0]] > 0, 1.5, 0)",
        "$lambda x: torch.where(x[[0]] > 0, 256, 0)",
        "$lambda x: torch.where(x[[0]] > 0, 1, torch.where(x[[0]] > 0, 2, 0))",
        "$lambda x: torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 1, 0))",
        "$lambda x: mine.where(x[[0]] > 0, 1, 0)",
        "$lambda x: torch.where(x[[0]] > 0, 1, 0",
        "lambda x: torch.where(x[[0]] > 0, 1, 0)",
    ],
)
def test_any_other_function_is_not_recognised(text: str) -> None:
    assert read_label_map(text, 3) is None
