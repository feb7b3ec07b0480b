"""Arrays of custom transforms: results that cannot be used, and writing into an input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from component_author import DATA, Author, returning
from cudasim.simulated import simulated_cupy
from transforms_oracle import volume_of


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2 * array", "found int16"),
        ("array > 3", "found ndarray (1, 8, 7, 6) bool (convert it with astype)"),
        ("array.astype(np.int64)", "expected an array of int8, int16, int32, uint8"),
        ("array.astype(complex)", "found ndarray (1, 8, 7, 6) complex128"),
        ("array.astype(object)", "found ndarray (1, 8, 7, 6) object"),
        ("array[0]", "expected an array [C, X, Y, Z], found ndarray (8, 7, 6) float32"),
        ("array[:, :0]", "expected an array [C, X, Y, Z], found ndarray (1, 0, 7, 6) float32"),
        ("array.tolist()", "expected a numpy array, as its input is, found list [[[[0"),
        ("np.ma.masked_array(array)", "expected a numpy array, as its input is, found MaskedArray"),
        ("array.mean()", "expected a numpy array, as its input is, found float32 () float32"),
        ("np.concatenate([array, array])", "expected 1 channels as after `trace`, found 2 (set field.channels in"),
        ("np.where(array > 9, np.float32(1), np.nan)", "expected finite voxels, as in its input, found NaN or inf"),
        ("np.where(array > 9, np.float32(1), -np.inf)", "expected finite voxels, as in its input, found NaN or inf"),
    ],
)
def test_what_a_barrier_returns(author: Author, value: str, message: str) -> None:
    if message == "found int16":
        return author.run("Barrier", returning("apply", value))
    assert message in author.refusal("Barrier", returning("apply", value)).removeprefix("apply: ")
    return None


def test_an_undeclared_grid_of_a_barrier(author: Author) -> None:
    message = author.refusal("Barrier", returning("apply", "array[:, 1:]"))
    assert message.startswith("changed the grid of 'image' from (8, 7, 6) to (7, 7, 6), undeclared")


def test_scores_can_be_infinite_but_not_nan(author: Author) -> None:
    author.run("Barrier", returning("apply", "np.where(array == 0, -np.inf, array)"), post=True)
    message = author.refusal("Barrier", returning("apply", "np.full_like(array, np.nan)"), post=True)
    assert message.startswith("apply: expected no NaN, as in its input, found NaN (fix the")


def test_labels_of_another_dtype(author: Author) -> None:
    body = "makes_labels = True\ndef trace(self, field):\n    field.channels = 1\n"
    message = author.refusal("Barrier", body + returning("apply", "array.argmax(0)[None]"), post=True, argmax=False)
    assert message == (
        "apply: expected labels of uint8 or uint16, found ndarray (1, 8, 7, 6) int64 (convert them with astype)"
    )


WRITES = "fields can share an array, so write into a copy of it"


@pytest.mark.parametrize("statement", ["array[:] = 0", "field.array += 1", "np.clip(array, 0, 1, out=array)"])
@pytest.mark.parametrize("kind", ["Barrier", "Measured"])
def test_writing_into_the_input(author: Author, kind: str, statement: str) -> None:
    hook = "apply" if kind == "Barrier" else "measure"
    message = author.refusal(kind, returning(hook, "array").replace("return", f"{statement}\n    return"))
    assert WRITES in message
    assert message.startswith(f"{hook} failed: ValueError: ")


def test_writing_into_the_input_of_a_branch(author: Author) -> None:
    body = "def trace(self, fields):\n    pass\ndef apply(self, fields, backend):\n    fields['image'].array[:] = 1"
    assert WRITES in author.refusal("Branch", body)


def test_the_result_of_a_barrier_can_be_a_view_that_is_written_later(author: Author) -> None:
    config = author.load("Barrier", returning("apply", "array[:, :, :, :]"))
    barrier: Any = config.pre[1]
    data = DATA[None].astype(np.float32)
    field = config.pipeline().prepare(volume_of(DATA), author.backend)["image"]
    view = barrier.apply(data, field, author.backend)
    view[:] = 5
    assert (data == 5).all()


BRANCH = """
@property
def creates(self):
    return ("other",)

def trace(self, fields):
    fields["other"] = fields["image"].copy(name="other")

def apply(self, fields, backend):
    self.trace(fields)
    {statement}
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("fields['other'].array = None", "apply: expected a numpy array as 'other', as its input is, found None"),
        ("del fields['other']", "apply: expected the field 'other', found none, only image"),
        ("fields['more'] = fields['other']", "apply: expected only new fields that `creates` names, found 'more'"),
        (
            "fields['other'].array = np.zeros((2, 8, 7, 6), np.int16)",
            "apply: expected 'other' to hold (1, 8, 7, 6) float32, as its state says, found ndarray (2, 8, 7, 6) int16",
        ),
        ("fields['other'].kind = 'labels'", "apply: expected labels of uint8 or uint16 as 'other', found ndarray"),
        ("1 / 0", "apply failed: ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_branch_makes(author: Author, statement: str, message: str) -> None:
    author.run("Branch", BRANCH.format(statement="pass"))
    assert author.refusal("Branch", BRANCH.format(statement=statement)).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("array", None),
        ("np.zeros((1, 8, 7, 6), np.float32)", "apply: expected a cudasim array, as its input is, found ndarray (1, 8"),
        ("array[0]", "apply: expected an array [C, X, Y, Z], found ndarray (8, 7, 6) float32"),
        (
            "backend.upload(np.full((1, 8, 7, 6), np.nan, np.float32))",
            "apply: expected finite voxels, as in its input, found NaN or infinite ones",
        ),
    ],
)
def test_a_barrier_on_a_simulated_gpu(author: Author, value: str, message: str | None) -> None:
    with simulated_cupy() as module:
        author.backend = module.GpuBackend()
        if message is None:
            author.load("Barrier", returning("apply", value)).pipeline().prepare(volume_of(DATA), author.backend)
        else:
            assert author.refusal("Barrier", returning("apply", value)).startswith(message)
