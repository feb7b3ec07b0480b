"""Voxels in physical units while they are written: values by hand, memory by count."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.scaled import ScaledVoxels


def test_values_dtype_and_slices() -> None:
    stored = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    whole = ScaledVoxels(stored, 2.0, -1024.0)
    assert (whole.dtype, whole.shape, whole.nbytes) == (np.int16, (2, 3, 4), 48)
    np.testing.assert_array_equal(whole.slices(1, 9), (stored.T[1:].astype(int) * 2 - 1024))
    broken = ScaledVoxels(stored, 0.5, 0.0)
    assert broken.dtype == np.float32
    np.testing.assert_array_equal(broken.slices(0, 2), stored.T[:2] / 2)


def test_no_copy_of_the_volume_is_held(tmp_path: Path) -> None:
    stored = np.asfortranarray(np.arange(256 * 256 * 300, dtype=np.int32).reshape(256, 256, 300) % 1000).astype(
        np.int16
    )
    tracemalloc.start()
    write_metaimage(ScaledVoxels(stored, 0.5, 1.0), Geometry(stored.shape, np.eye(4)), tmp_path, "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < stored.size * 4 / 2  # the whole would be 75 MiB
    read_back = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.mhd")))
    np.testing.assert_array_equal(read_back, stored.T * np.float32(0.5) + 1)
