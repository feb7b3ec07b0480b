"""Probabilities of the scores of a custom inferer, whose array stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_ring import LocalRing, position_dependent_model
from planned_runs import inputs_of, model_of
from transforms_oracle import probabilities

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.load import load_config
from gpu_infer.inferers.base import Inferer, ModelSizes
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer
from gpu_infer.planning.run_plan import RunInputs, make_plan

GRID = (4, 3, 5)
SIZES = ModelSizes(GRID, GRID, 1, 3, 3, np.dtype(np.float32))
VOLUME = np.random.default_rng(7).normal(size=(3, *GRID)).astype(np.float32)
ONE = np.random.default_rng(8).normal(size=(3, 1, 1, 1)).astype(np.float32)
CONFIGURATION = """{
    "pre_transforms": [{"name": "LoadNifti", "args": {"fields": "image"}}],
    "inferer": {"path": "zeros_everywhere.Zeros", "args": {"model_name": "many", "roi_size": [4, 4, 4]}},
    "post_transforms": [%s {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image"}},
        {"name": "ScaleIntensityRange", "args": {"fields": "model", "a_min": 0, "a_max": 1, "b_min": 0, "b_max": 2}},
        {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}]
}"""
MODULE = """import numpy as np
from gpu_infer.inferers.base import Inferer
class Zeros(Inferer):
    name = "Zeros"
    def infer(self, volume, model, backend):
        return backend.zeros((model.sizes.classes, *model.sizes.grid), np.float32)
"""


class Given(Inferer):
    """Returns an array."""

    name = "Given"

    def __init__(self, scores: Any) -> None:
        super().__init__()
        self.scores = scores

    def infer(self, volume: Any, model: Any, backend: Any) -> Any:
        return volume if self.scores is None else self.scores


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    "scores", [None, VOLUME.copy(), np.broadcast_to(ONE, VOLUME.shape)], ids=["image", "own", "one"]
)
def test_they_are_a_new_array(scores: Any, activation: Any) -> None:
    volume, backend = VOLUME.copy(), CpuBackend()
    if scores is not None:
        scores.flags.writeable = False
    ring: Any = LocalRing(position_dependent_model, 1, 1, 1, GRID)
    client = ModelClient(ring, backend, SIZES, lambda _: None)
    result = run_inferer(Given(scores), volume, client, backend, "scores", lambda n: (), activation)
    expected = probabilities(VOLUME if scores is None else np.array(scores), activation)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_array_equal(volume, VOLUME)


def test_they_are_planned(tmp_path: Path) -> None:
    (tmp_path / "zeros_everywhere.py").write_text(MODULE)
    planned = []
    for first in ("", '{"name": "Softmax", "args": {"fields": "model"}},'):
        path = tmp_path / "own.json"
        path.write_text(CONFIGURATION % first)
        config, usual = load_config(path, {}), inputs_of(tmp_path, (40, 40, 40))
        plan = make_plan(RunInputs(usual.settings, config, config.pipeline(), usual.header), model_of(3, (4, 4, 4)))
        planned.append(plan.memory.sizes.own)
    assert planned[1] - planned[0] == 3 * 40**3 * 4
