"""Sessions with several models: every case has the labels of a run of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import regions, write_config, write_nifti
from several_models import content

from gpu_infer.app import run
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.ring import SlotRing

pytestmark = pytest.mark.slow

ENTRIES: dict[str, list[Any]] = {
    "mean": ["places3d", {"model_name": "classes3", "weight": 3}],
    "union": [{"model_name": "classes5", "offset": 0}, {"model_name": "places3d", "labels": [0, 9]}],
}


def labels_of(result: Any) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(result.output)))


@pytest.mark.parametrize(("combine", "rings"), [("mean", 1), ("union", 6)])
def test_labels_are_those_of_single_runs(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch, combine: str, rings: int
) -> None:
    """The models are asked once; a ring for all models lasts, those of a union's passes take turns."""
    counts = {"model": 0, "__init__": 0}

    def counted(cls: Any, name: str) -> None:
        method = getattr(cls, name)

        def call(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return method(*arguments, **named)

        monkeypatch.setattr(cls, name, call)

    path = write_config(tmp_path / "config", content(ENTRIES[combine], combine=combine))
    options: dict[str, Any] = {"device": "cpu", "wait_s": 30.0, "batch_size": 2, "config": path}
    environ = {"NVIDIA_TRITON_GRPCURI": triton_server.grpc}
    settings = Settings.from_environment(environ, input=tmp_path, output=tmp_path / "out", **options)
    cases = []
    for n in range(3):
        data = np.random.default_rng(n).random((23, 14, 18), np.float32) * 2
        name, out = f"case{n}", tmp_path / "out" / f"case{n}"
        file = write_nifti(tmp_path / "cases" / f"{name}.nii", data, np.diag([-0.9, 1.1, 1.4, 1.0]))
        cases.append(replace(settings, input=file, output=out, logs=out, output_name=name))
    counted(Server, "model")
    counted(SlotRing, "__init__")
    with Session(settings) as session:
        results = [session.run(each) for each in cases]
    assert counts == {"model": 2, "__init__": rings}
    assert regions(triton_server) == []
    for each, result in zip(cases, results, strict=True):
        alone = run(replace(each, output=tmp_path / "alone", logs=tmp_path / "alone"))
        np.testing.assert_array_equal(labels_of(result), labels_of(alone))
        assert len(np.unique(labels_of(alone))) > 1
        for key in ("requests", "bytes_shm", "retries", "reregistrations"):
            assert result.data["triton"][key] == alone.data["triton"][key], key
