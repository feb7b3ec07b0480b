from __future__ import annotations

import re

import numpy as np
import pytest

from gpu_infer.backends import dtypes
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.checks import SUPPORTED_DTYPES


def _source(name: str) -> str:
    return (resource_folder("kernels") / name).read_text(encoding="utf-8")


def test_the_numbers_of_arrays_are_those_of_the_kernels() -> None:
    enumeration = re.search(r"enum[^{]*\{ *(B1[^}]*)\}", _source("arrays.cu") + _source("arrays.cuh"))
    assert enumeration is not None
    assert [name.strip().lower() for name in enumeration[1].split(",")] == list(dtypes.ARRAYS)


def test_there_is_a_kernel_for_every_stored_dtype() -> None:
    instances = set(re.findall(r"^PREPARE\([^,]+, (\w\d)\)$", _source("prepare.cu"), re.MULTILINE))
    assert set(dtypes.STORED) <= instances
    assert {np.dtype(name).str[1:] for name in SUPPORTED_DTYPES} <= set(dtypes.STORED)


@pytest.mark.parametrize(
    ("name", "real"),
    [("<i2", True), (">f8", True), ("u8", True), ("f2", True), ("?", False), ("c8", False)],
)
def test_real_numbers_of_up_to_eight_bytes(name: str, real: bool) -> None:
    assert dtypes.is_real(np.dtype(name)) == real


def test_a_foreign_byte_order_is_no_input_of_a_model() -> None:
    assert np.dtype("float16") in dtypes.MODEL
    assert np.dtype(np.float32).newbyteorder() not in dtypes.MODEL
    assert np.dtype(np.uint16).newbyteorder() not in dtypes.LABELS
