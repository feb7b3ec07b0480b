"""The limit of a grid, and its message."""

from __future__ import annotations

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.grid_limit import MOST_SAMPLES, check_grid


def test_the_limit_is_per_axis() -> None:
    check_grid("x", (4, 5, 6), (MOST_SAMPLES, MOST_SAMPLES, MOST_SAMPLES))
    with pytest.raises(ConfigError) as caught:
        check_grid("pre_transforms[1]: Scale", (4, 5, 6), (1, 1, MOST_SAMPLES + 1))
    assert str(caught.value) == (
        "pre_transforms[1]: Scale: (4, 5, 6) voxels become (1, 1, 1048577), 0 GiB of float32, expected at most 1048576 "
        "along an axis (check the target, and the spacing in the file)"
    )


def test_very_large_sizes_are_powers_of_ten() -> None:
    with pytest.raises(ConfigError, match=r"become \(5, about 10\^20, 5\), about 10\^12 GiB of float32"):
        check_grid("x", (4, 5, 6), (5, 10**20, 5))
