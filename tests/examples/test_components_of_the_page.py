"""The custom inferer and writer that docs/config.md shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from local_ring import LocalRing, position_dependent_model

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.base import ModelSizes, is_inferer
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer
from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.base import LabelResult, is_writer
from gpu_infer.writers.custom.write import write_files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config.md"


def shown(name: str) -> Any:
    """The class `name` of a block of the page."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f"class {name}(" in block]
    names: dict[str, Any] = {}
    exec(block, names)
    return names[name]


def test_the_inferer() -> None:
    cls = shown("Corner")
    assert is_inferer(cls)
    backend = CpuBackend()
    for grid in ((9, 8, 7), (3, 8, 2)):
        sizes = ModelSizes(grid, (4, 3, 5), 2, 1, 3, np.dtype(np.float32))
        ring: Any = LocalRing(position_dependent_model, 2, 2, 1, sizes.window)
        volume = np.random.default_rng(1).random((1, *grid), dtype=np.float32)
        client = ModelClient(ring, backend, sizes, lambda _: None)
        actual = run_inferer(cls(), volume, client, backend, "scores", lambda _: ())
        window = np.zeros((1, 1, *sizes.window), np.float32)
        x, y, z = (min(n, w) for n, w in zip(grid, sizes.window, strict=True))
        window[0, :, :x, :y, :z] = volume[:, :x, :y, :z]
        expected = np.zeros((3, *grid), np.float32)
        expected[:, :x, :y, :z] = position_dependent_model(window)[0, :, :x, :y, :z]
        np.testing.assert_array_equal(actual, expected)


def test_the_inferer_with_a_context() -> None:
    cls = shown("Whole")
    assert is_inferer(cls)
    backend, grid = CpuBackend(), (9, 8, 7)
    sizes = ModelSizes(grid, grid, 2, 1, 3, np.dtype(np.float32))
    ring: Any = LocalRing(position_dependent_model, 2, 2, 1, grid)
    volume = np.random.default_rng(1).random((1, *grid), dtype=np.float32)
    client = ModelClient(ring, backend, sizes, lambda _: None)
    scores = run_inferer(cls(), volume, client, backend, "scores", lambda _: ())
    np.testing.assert_array_equal(scores, position_dependent_model(volume[None])[0])


def test_the_writer(tmp_path: Path) -> None:
    cls = shown("WriteCount")
    assert is_writer(cls)
    labels = np.zeros((4, 3, 2), np.uint8)
    labels[1:3, 0] = 2
    result = LabelResult("case", "model", labels, Geometry((4, 3, 2), np.eye(4)), LabelTable(), {})
    assert write_files(cls(), result, tmp_path) == [tmp_path / "case.count.txt"]
    assert (tmp_path / "case.count.txt").read_text() == "4\n"
