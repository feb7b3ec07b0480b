"""What bench.classes allows holds for volumes of every depth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench import classes


@pytest.mark.parametrize("depth", [16, 32, 64, 85, 86, 128, 400, 800])
def test_the_accumulator_has_one_window_along_the_axis_where_that_is_least(tmp_path: Path, depth: int) -> None:
    config = tmp_path / "config_inference.json"
    config.write_text(json.dumps(classes.CONFIG), encoding="utf-8")
    window, volume = (192, 192, 32), (512, 512, depth)
    least = min(
        math.prod(min(window[axis], n) if axis == across else n for axis, n in enumerate(volume)) for across in range(3)
    )
    planned = classes._plan(config, depth).sizes.slab_accumulator
    assert planned == 4 * 105 * least
    assert planned <= classes.ACCUMULATOR_BYTES
    assert planned == classes.ACCUMULATOR_BYTES or depth < 86
