"""How exact the exported networks are on ONNX Runtime, against PyTorch in float64."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from nnunet_cases import Case
from nnunet_folders import build_network, write_case
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from gpu_infer.imports.nnunet.export_network import with_staged_norms
from gpu_infer.imports.nnunet.import_model import Options, import_nnunet

LARGE = Case("large", shape=(20, 20, 20), patch=(96, 96, 96))
SLICES = Case("slices", configuration="2d", shape=(24, 24, 6), spacing=(1.0, 1.0), patch=(192, 224))


def expected(case: Case, trained: Path, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    plans = PlansManager(case.plans())
    network = build_network(plans.get_configuration(case.configuration), case.channels, 3)
    checkpoint = torch.load(trained / "fold_0" / "checkpoint_final.pth", weights_only=False)
    network.load_state_dict(checkpoint["network_weights"])
    with torch.inference_mode():
        return np.asarray(network.eval().double()(torch.from_numpy(windows).double()))


def answer(trained: Path, name: str, windows: NDArray[np.float32], **options: Any) -> tuple[set[str], NDArray[Any]]:
    """The operators of the exported graph, and its scores."""
    place = trained.parent
    import_nnunet(trained, place / "models", place / name, Options(Path(sys.executable), name, **options))
    path = place / "models" / name / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"input": windows})
    return {node.op_type for node in onnx.load(path).graph.node}, scores


@pytest.mark.slow
@pytest.mark.parametrize("case", [LARGE, SLICES], ids=lambda case: case.name)
def test_scores_of_large_patches(case: Case, tmp_path: Path) -> None:
    trained, _ = write_case(case, tmp_path)
    ramp = np.linspace(-3, 3, case.patch[-1], dtype=np.float32)
    windows = np.random.default_rng(0).standard_normal((1, 1, *case.patch), np.float32) + ramp
    exact = expected(case, trained, windows)
    staged_operators, staged = answer(trained, "staged", windows)
    single_operators, single = answer(trained, "single", windows, instance_normalization=True)
    assert "InstanceNormalization" not in staged_operators
    assert "InstanceNormalization" in single_operators
    error = float(np.abs(staged - exact).max())
    assert error < 2e-5 < np.abs(exact).max()
    if case is LARGE:
        assert float(np.abs(single - exact).max()) > 3 * error


@pytest.mark.slow
def test_norms_with_equal_weights(tmp_path: Path) -> None:
    case = Case("equal", shape=(20, 20, 20), patch=(16, 16, 16))
    trained, _ = write_case(case, tmp_path)
    path = trained / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    for name, value in checkpoint["network_weights"].items():
        if value.ndim == 1 and ".seg_layers." not in name:
            value[:] = 1 if name.endswith("norm.weight") else 0
    torch.save(checkpoint, path)
    windows = np.random.default_rng(0).standard_normal((1, 1, 16, 16, 16), np.float32)
    np.testing.assert_allclose(answer(trained, "equal", windows)[1], expected(case, trained, windows), atol=1e-5)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (torch.nn.InstanceNorm1d(3, affine=True), (2, 3, 40)),
        (torch.nn.InstanceNorm2d(3, eps=1e-2, affine=True), (2, 3, 9, 8)),
        (torch.nn.InstanceNorm3d(3), (2, 3, 7, 6, 5)),
        (torch.nn.InstanceNorm3d(3, affine=True, track_running_stats=True), (2, 3, 7, 6, 5)),
    ],
    ids=["1d", "2d", "without weights", "of the training"],
)
def test_values_are_those_of_the_instance_norm(norm: Any, shape: tuple[int, ...]) -> None:
    if norm.affine:
        norm.weight.data, norm.bias.data = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.1, 0.2, -3.0])
    network = torch.nn.Sequential(norm, torch.nn.LeakyReLU()).eval().double()
    values = torch.from_numpy(np.random.default_rng(1).normal(30, 4, shape))
    with torch.inference_mode():
        original = network(values)
        torch.testing.assert_close(with_staged_norms(network)(values), original, rtol=1e-12, atol=1e-12)
