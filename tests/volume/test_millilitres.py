"""Rounding of volumes, by hand."""

from __future__ import annotations

import pytest

from gpu_infer.volume.millilitres import rounded_ml


@pytest.mark.parametrize(
    ("ml", "written"),
    [
        (0.0, 0.0),
        (4.5e-5, 4.5e-5),
        (0.000123456789, 0.000123457),
        (0.99999951, 1.0),
        (1.23456, 1.235),
        (4051.1234, 4051.123),
    ],
)
def test_small_volumes_keep_their_digits(ml: float, written: float) -> None:
    assert rounded_ml(ml) == written
