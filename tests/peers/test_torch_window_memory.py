"""The memory of windows is used again, unless a tensor or a graph of PyTorch still has one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gpu_infer import sliding_window_inference  # noqa: E402

ROI = (4, 5, 6)
VOLUME = np.random.default_rng(11).random((2, 1, 9, 11, 13), dtype=np.float32)


@pytest.mark.parametrize("batch", [1, 3])
def test_tensors_that_are_kept_stay(batch: int) -> None:
    kept = []

    def predict(windows: Any) -> Any:
        kept.append((windows[:, 0, 1:], windows[:, 0, 1:].clone()))
        return windows

    volume = torch.from_numpy(VOLUME)
    blended = sliding_window_inference(volume, ROI, batch, predict, 0.5)
    torch.testing.assert_close(blended, volume)
    for now, then in kept:
        assert torch.equal(now, then)


def test_tensors_that_a_graph_keeps_stay() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    outputs = []

    def predict(windows: Any) -> Any:
        outputs.append((windows.clone(), (windows * windows * weight).sum()))
        return windows

    sliding_window_inference(torch.from_numpy(VOLUME), ROI, 2, predict, 0.5)
    for windows, total in outputs:
        (gradient,) = torch.autograd.grad(total, weight)
        torch.testing.assert_close(gradient, (windows * windows).sum())
