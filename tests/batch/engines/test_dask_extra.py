"""The Dask engine without its extra, and scheduler files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpu_infer.batch.engines.dask_engine import DaskEngine
from gpu_infer.batch.engines.dask_extra import dask_engine
from gpu_infer.errors import ConfigError


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"needs distributed, which .* \(pip install 'gpu-infer\[dask\]'\)"):
        dask_engine("tcp://a:1")


def test_a_scheduler_file_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        dask_engine(str(path))
    path.write_text('{"address": "tcp://127.0.0.1:8786"}')
    assert isinstance(dask_engine(str(path)), DaskEngine)
