"""Custom inferers in Clara's style, whose `infer` gets one context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from local_ring import LocalRing, position_dependent_model

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.base import ModelSizes, is_inferer
from gpu_infer.inferers.context import ContextInferer
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer

GRID = (6, 5, 4)


class Doubled(ContextInferer):
    name = "Doubled"

    def infer(self, ctx: Any) -> Any:
        assert ctx.sizes is ctx.model.sizes
        windows = ctx.backend.empty((2, *ctx.image.shape), ctx.sizes.dtype)
        for window in windows:
            ctx.backend.gather(ctx.image, [(0, 0, 0)], window[None], 0.0)
        return ctx.predict(windows)[1]


class Divides(ContextInferer):
    name = "Divides"

    def infer(self, ctx: Any) -> Any:
        return 1 / 0


@pytest.fixture(params=["cpu", "gpu"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "cpu":
        yield CpuBackend()
        return
    with simulated_cupy() as module:
        yield module.GpuBackend()


def run(inferer: ContextInferer, volume: Any, backend: Backend) -> Any:
    sizes = ModelSizes(GRID, GRID, 1, 1, 3, np.dtype(np.float32))
    ring: Any = LocalRing(position_dependent_model, 2, 1, 1, GRID)
    client = ModelClient(ring, backend, sizes, lambda _: None)
    return run_inferer(inferer, backend.upload(volume), client, backend, "scores", lambda _: ())


def test_scores_of_the_model(backend: Backend) -> None:
    volume = np.random.default_rng(3).random((1, *GRID), dtype=np.float32)
    scores = backend.download(run(Doubled(), volume, backend))
    np.testing.assert_array_equal(scores, position_dependent_model(volume[None])[0])


def test_an_error_names_the_component_and_its_place(backend: Backend) -> None:
    inferer = Divides()
    inferer.where = "c.json: inferer"
    with pytest.raises(ConfigError, match=r"^c\.json: inferer: Divides: infer failed: ZeroDivisionError: division by"):
        run(inferer, np.zeros((1, *GRID), np.float32), backend)


def test_the_base_class_is_no_inferer() -> None:
    assert is_inferer(Doubled)
    assert not is_inferer(ContextInferer)
