"""Windows that are read from the file: those of the prepared volume, also if an earlier strip is asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from strip_runs import affine_of, inputs_of_file, plans_of, write_volume

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.strip_source import StripSource, file_order, stored
from gpu_infer.planning import strips
from gpu_infer.planning.strips import most_slices
from gpu_infer.volume.geometry import Geometry, Orientation
from gpu_infer.volume.read import read_voxels

SHAPE, WINDOW = (17, 13, 21), (7, 6, 5)
SCALE = {"name": "ScaleByFactor", "args": {"fields": "image", "factor": [0.8, 1.3, 1.1]}}


class Slot(NamedTuple):
    input: np.ndarray[Any, Any]


@pytest.mark.parametrize("ending", [".mhd", ".nii", ".nii.gz", ".nrrd", ".mha"])
def test_windows_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """After a lost connection, windows of an earlier strip, or of an earlier layer, are read once more."""
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    rng, backend = np.random.default_rng(8), CpuBackend()
    voxels = rng.integers(0, 900, SHAPE).astype(np.int16)
    path = write_volume(tmp_path / f"case{ending}", voxels, affine_of((1, 0, 2), (-1, 1, 1), (1.0, 1.0, 1.0)))
    inputs = inputs_of_file(path, pre=[SCALE])
    _, plan = plans_of(inputs, WINDOW)
    prepared = inputs.pipeline.prepare(read_voxels(inputs.header), backend)["image"].array
    assert plan.strips is not None
    assert inputs.header.stored is not None
    with inputs.header.stored.boxes(SHAPE, most_slices(plan.strips, plan.grid)) as reader:
        source = StripSource(backend, plan.grid, plan.strips, reader, dtype=np.float32, fill=-1.0)
        for _ in range(40):
            first = int(rng.integers(0, len(plan.grid.visits)))
            group = plan.grid.visits[first : first + 3]
            slot, expected = (Slot(np.zeros((3, 1, *WINDOW), np.float32)) for _ in range(2))
            any_slot: Any = slot
            source.fill_slot(any_slot, group)
            backend.gather(prepared, [window.start for window in group], expected.input, -1.0)
            np.testing.assert_array_equal(slot.input, expected.input)


def test_boxes_of_the_file_by_hand() -> None:
    """Loaded X is the stored third axis backwards, Y the first one, Z the second one backwards."""
    orientation = Orientation((2, 0, 1), (True, False, True))
    box = (slice(1, 4), slice(2, 3), slice(0, 5))
    assert stored(orientation, box, (10, 20, 30)) == (slice(2, 3), slice(15, 20), slice(26, 29))
    assert file_order(orientation) == (0, 2, 1)
    whole = np.arange(10 * 20 * 30).reshape(10, 20, 30)
    np.testing.assert_array_equal(
        orientation.view(whole)[box], orientation.view(whole[stored(orientation, box, whole.shape)])
    )


def test_a_file_of_axial_slices_is_visited_slice_by_slice() -> None:
    lps = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert file_order(lps.orientation) == (2, 1, 0)
