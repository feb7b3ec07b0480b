"""Types of component arguments: what they accept, and the messages of what they do not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from transforms_oracle import transform

from gpu_infer.transforms.arguments import (
    LARGEST,
    Arguments,
    Factors,
    Flag,
    Integer,
    LabelIds,
    Margin,
    Names,
    Number,
    Numbers,
    PositiveInteger,
    PositiveTriple,
    Shape,
    Text,
    Triple,
)


class Everything(Arguments):
    number: Number = 0.0
    flag: Flag = False
    integer: Integer = 0
    positive: PositiveInteger = 1
    spacing: PositiveTriple = (1.0, 1.0, 1.0)
    shape: Shape = (1, 1, 1)
    triple: Triple = (1, 1, 1)
    factors: Factors = (1.0, 1.0, 1.0)
    margin: Margin = 0
    numbers: Numbers = ()
    labels: LabelIds = ()
    text: Text = ""
    names: Names = ()


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("number", "0.5", 0.5),
        ("number", 3, 3.0),
        ("flag", "True", True),
        ("flag", False, False),
        ("integer", "-7", -7),
        ("integer", 3.0, 3),
        ("positive", LARGEST, LARGEST),
        ("spacing", ["0.8", 1, 5.0], (0.8, 1.0, 5.0)),
        ("shape", [4, "5", 6.0], (4, 5, 6)),
        ("triple", 8, (8, 8, 8)),
        ("triple", [1, 2, 3], (1, 2, 3)),
        ("factors", "0.5", (0.5, 0.5, 0.5)),
        ("margin", 0, 0),
        ("numbers", 0.5, (0.5,)),
        ("numbers", [0.5, "1"], (0.5, 1.0)),
        ("labels", 3, (3,)),
        ("labels", [3, 1], (3, 1)),
        ("text", " a ", "a"),
        ("names", "image", ("image",)),
        ("names", ["image", "model"], ("image", "model")),
    ],
)
def test_accepted_values(name: str, value: Any, result: Any) -> None:
    accepted = Everything(**{name: value}).model_dump()[name]
    assert (accepted, type(accepted)) == (result, type(result))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("number", "nan", "expected a finite number"),
        ("flag", 1, "expected true or false"),
        ("integer", True, "expected a whole number"),
        ("integer", 0.5, "expected a whole number"),
        ("integer", LARGEST + 1, f"expected a whole number up to {LARGEST}"),
        ("positive", 0, "expected a whole number of at least 1"),
        ("spacing", [1, 1], "expected 3 positive numbers"),
        ("spacing", [1, 0, 1], "expected 3 positive numbers"),
        ("shape", 3, "expected 3 positive whole numbers"),
        ("triple", 0, "expected a whole number of at least 1, or 3 of them"),
        ("factors", [1, -1, 1], "expected a positive number, or 3 of them"),
        ("margin", -1, "expected a whole number of at least 0"),
        ("numbers", [], "expected a number or a list of numbers"),
        ("labels", [1, 1], "expected label ids of at least 1, every one once"),
        ("labels", 0, "expected label ids of at least 1, every one once"),
        ("text", " ", "expected a non-empty string"),
        ("names", ["a", "a"], "expected every name once"),
        ("names", [], "expected a name or a list of names"),
    ],
)
def test_messages(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Everything(**{name: value})
    assert caught.value.errors()[0]["msg"] == f"Value error, {message}"


@pytest.mark.parametrize("value", [True, "nan", float("inf"), "x", None, [1]])
def test_numbers_are_finite_numbers(value: Any) -> None:
    with pytest.raises(ValidationError, match="expected a finite number"):
        transform("ScaleIntensityRange", fields="image", a_min=value, a_max=1, b_min=0, b_max=1)
