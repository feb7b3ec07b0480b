"""Scores of several models against MONAI's `MeanEnsemble` of its sliding window's results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from local_ring import LocalGroups
from monai.inferers import sliding_window_inference
from monai.transforms import MeanEnsemble

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import ScoreFinalizer
from gpu_infer.inferers.ensemble import EnsembleAccumulator, unequal_weights
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.windows import make_grid

ROI = (16, 12, 14)


def network(seed: int) -> Any:
    """Two convolutions with random weights, as a function of arrays."""
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(1, 6, 3, padding=1), torch.nn.LeakyReLU(), torch.nn.Conv3d(6, 4, 3, padding=1)
    ).eval()

    def infer(tiles: Any) -> Any:
        with torch.no_grad():
            return layers(torch.as_tensor(np.ascontiguousarray(tiles))).numpy()

    return infer


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 5.0]])
@pytest.mark.parametrize("blend", ["constant", "gaussian"])
@pytest.mark.parametrize("shape", [(33, 25, 29), (10, 40, 14)])
def test_mean_of_three_networks(weights: list[float] | None, blend: str, shape: Any, equivalence: Any) -> None:
    networks = [network(seed) for seed in (1, 2, 3)]
    volume = np.random.default_rng(4).normal(size=(1, *shape)).astype(np.float32)
    results = [
        sliding_window_inference(
            torch.from_numpy(volume[None]),
            *(ROI, 2, lambda x, n=n: torch.from_numpy(n(x.numpy()))),
            overlap=0.5,
            mode=blend,
        )[0]
        for n in networks
    ]
    expected = MeanEnsemble(weights=None if weights is None else torch.tensor(weights))(torch.stack(results)).numpy()
    mode, backend = window_mode("monai", {"overlap": (0.5, 0.5, 0.5), "blend": blend}), CpuBackend()
    grid = replace(make_grid(shape, ROI, mode), models=3)
    accumulator = EnsembleAccumulator(
        *(backend, grid, 4, ScoreFinalizer(backend, grid, 4)),
        importance=mode.importance(ROI),
        weights=unequal_weights(weights or [1.0] * 3),
    )
    ring: Any = LocalGroups(networks, 2, 2, 1, ROI)
    actual = scan_window(volume, grid, ring, accumulator, backend, batch=2)
    worst = float(np.abs(actual - expected).max())
    assert worst <= 1e-5
    equivalence.record(
        "monai.transforms.MeanEnsemble",
        "the argument models of the inferer, combine mean",
        tolerance="1e-5",
        worst=worst,
        differs="Weights are divided by their sum, as MONAI divides them by their mean before it averages.",
    )
