"""What a resampling of many neighbours uploads, on simulated CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends import taps
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table


def test_a_table_is_uploaded_once_for_all_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[int] = []
    monkeypatch.setattr(taps, "SLAB_BYTES", 1)
    same = ClampedAffine()
    with simulated_cupy() as gpu:
        backend = gpu.GpuBackend()
        upload = backend._device.small_upload

        def note(host: Any) -> Any:
            uploaded.append(host.size)
            return upload(host)

        monkeypatch.setattr(backend._device, "small_upload", note)
        source = backend.upload(np.zeros((2, 9, 310, 8), np.int16))
        out = backend.empty((2, 6, 330, 6), np.float32)
        tables = (cubic_table(9, 6), cubic_table(310, 330), cubic_table(8, 6))
        bands = list(taps.bands(tables[1], taps.band_rows((6, 310, 6), 1, tables[1])))
        assert len(bands) > 1
        backend.resample_taps(source, out, tables, same, same)
    assert sorted(uploaded) == sorted(2 * len(table) + table.weights.size for table in tables)
