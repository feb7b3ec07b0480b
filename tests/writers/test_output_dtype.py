"""The output dtype: labels never change their values, and what cannot be written is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.writers.output_dtype import OUTPUT_DTYPES, cast_labels, output_dtype

INTEGERS = [name for name in OUTPUT_DTYPES if "int" in name]


def labels(dtype: str = "uint8") -> np.ndarray:
    """[I, J, K] with the first axis fastest in memory."""
    return np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype).transpose(2, 1, 0)


@pytest.mark.parametrize(
    ("label", "dtype", "text", "remedy"),
    [
        (300, "uint8", r"label 300 does not fit the output dtype uint8 \(0\.\.255\)", "dtype to uint16"),
        (256, "uint8", "label 256 does not fit", "dtype to uint16"),
        (-1, "uint8", "label -1 does not fit", "dtype to int16"),
        (200, "int8", r"label 200 does not fit the output dtype int8 \(-128\.\.127\)", "dtype to uint8"),
        (70000, "uint16", "label 70000 does not fit", "dtype to uint32"),
        (-70000, "int16", "label -70000 does not fit", "dtype to int32"),
        (2**40, "int32", "label 1099511627776 does not fit", "no output dtype holds all labels"),
    ],
)
def test_labels_never_wrap_around(label: int, dtype: str, text: str, remedy: str) -> None:
    array = np.zeros((2, 3, 4), np.int64)
    array[1, 2, 3] = label
    with pytest.raises(ConfigError, match=text) as caught:
        cast_labels(array, dtype)
    assert remedy in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_that_fit(dtype: str) -> None:
    array = labels("uint16")
    cast = cast_labels(array, dtype)
    assert cast.dtype == dtype
    np.testing.assert_array_equal(cast, array)
    assert cast.T.flags.c_contiguous  # the memory order does not change
    assert cast_labels(cast, dtype) is cast


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_limits_of_a_dtype_fit(dtype: str) -> None:
    limits = [np.iinfo(dtype).min, np.iinfo(dtype).max]
    np.testing.assert_array_equal(cast_labels(np.array(limits, np.int64), dtype), limits)


def test_no_labels_fit_every_dtype() -> None:
    assert cast_labels(np.zeros((0, 4, 3), np.int64), "uint8").shape == (0, 4, 3)


@pytest.mark.parametrize("dtype", ["int64", "uint7", "label", "object"])
def test_unknown_output_dtypes(dtype: str) -> None:
    with pytest.raises(ConfigError, match=f"writers.args.dtype '?{dtype}'? cannot be written") as caught:
        cast_labels(labels(), dtype)
    assert "uint16" in str(caught.value)


def test_output_dtypes_are_numpy_dtypes() -> None:
    for name in OUTPUT_DTYPES:
        assert output_dtype(name) == np.dtype(name)


@pytest.mark.parametrize(("stored", "target"), [("float32", "uint8"), ("uint8", "float32")])
def test_scores_are_no_labels(stored: str, target: str) -> None:
    """A configuration ends in labels, and its output dtypes are integers."""
    with pytest.raises(AssertionError):
        cast_labels(labels(stored), target)
