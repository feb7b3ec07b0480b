"""What custom transforms record on states."""

from __future__ import annotations

import pytest
from component_author import Author, returning


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("field.channels = 0", "trace: expected a number of channels of 'image', found int 0"),
        ("field.dtype = 'voxel'", "trace: expected a dtype of 'image', found str 'voxel'"),
        ("field.shape = (3, 3, 3)", "trace: expected the grid (8, 7, 6) of 'image', found (3, 3, 3) (call field.windo"),
        ("field.windowed((0.5, 0, 0), (3, 3, 3))", "trace: expected a first index (X, Y, Z) of 'image', found tuple"),
        ("field.windowed((0, 0, 0), (3, 3))", "trace: expected a shape (X, Y, Z) of 'image', found tuple (3, 3)"),
        ("field.spacing = (1, 1, 0)", "trace: expected a spacing of 'image' in mm, found tuple (1, 1, 0)"),
        ("1 / 0", "trace failed: ZeroDivisionError: division by zero (fix the component"),
    ],
)
def test_what_a_trace_records(author: Author, statement: str, message: str) -> None:
    body = f"def trace(self, field):\n    {statement}\n" + returning("apply", "array")
    assert author.refusal("Barrier", body).startswith(message)


def test_a_dtype_can_be_recorded_as_a_type(author: Author) -> None:
    author.run("Barrier", "def trace(self, field):\n    field.dtype = np.float64\n" + returning("apply", "array * 0.5"))
