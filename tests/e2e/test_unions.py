"""Several models with a real server: the union of their labels against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_files import labels_of
from numpy.typing import NDArray
from operator_helpers import operate, regions, write_nifti
from several_models import SHAPE, content, mean_scores

from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.slow

ENTRIES: list[dict[str, Any]] = [
    {"model_name": "classes5", "offset": 0},
    {"model_name": "places3d", "labels": {"1": 300, "2": 0}},
    {"model_name": "threshold_half", "labels": [9]},
]
FINAL = {"classes5": [0, 1, 2, 3, 4], "places3d": [0, 300, 0], "threshold_half": [0, 9]}


@pytest.fixture
def case(tmp_path: Path) -> NDArray[np.float32]:
    """Mostly below 0.5, so that the last model leaves labels of the others."""
    data = np.random.default_rng(8).random(SHAPE, dtype=np.float32) ** 3 * 4
    write_nifti(tmp_path / "input/case.nii.gz", data, np.diag([0.8, 0.9, 2.0, 1.0]))
    return data


def united(data: NDArray[np.float32], order: list[str], **arguments: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Final labels, and the voxels at which no model's two best scores are close to each other."""
    labels, clear = np.zeros(SHAPE, np.uint16), np.ones(SHAPE, np.bool_)
    for name in order:
        scores = mean_scores(data, {name: 1.0}, **arguments)
        best = np.sort(scores, axis=0)
        clear &= best[-1] - best[-2] > 1e-5
        mapped = np.array(FINAL[name])[scores.argmax(0)]
        labels = np.where(mapped > 0, mapped, labels)
    return labels, clear


def union(entries: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    made = content(entries, combine="union", **arguments)
    made["writers"][0]["args"]["dtype"] = "uint16"
    return made


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("arguments", [{}, {"mode": "nnunet", "mirror_axes": [1]}])
def test_the_union_of_three_models(
    tmp_path: Path,
    triton_server: Any,
    case: NDArray[np.float32],
    order: tuple[int, ...],
    arguments: dict[str, Any],
) -> None:
    entries = [ENTRIES[n] for n in order]
    expected, clear = united(case, [entry["model_name"] for entry in entries], **arguments)
    assert clear.mean() > 0.99
    result = operate(tmp_path, triton_server, union(entries, **arguments))
    labels = labels_of(result)
    np.testing.assert_array_equal(labels[clear], expected[clear])
    assert 300 in labels
    assert len(np.unique(labels)) >= 3
    models = result.data["model"]["models"]
    assert [row["name"] for row in models] == [entry["model_name"] for entry in entries]
    assert result.data["model"]["combine"] == "union"
    assert models[order.index(1)]["labels"] == {"1": 300, "2": 0}
    assert result.data["triton"]["requests"] == 3 * -(-result.data["tiles"]["inferred"] // 3 // 4)
    assert not regions(triton_server)


def test_labels_do_not_depend_on_slots_batches_slab_and_transport(
    tmp_path: Path, triton_server: Any, case: NDArray[np.float32]
) -> None:
    runs: list[dict[str, Any]] = [
        {"slots": 1, "batch_size": 1, "slab": False},
        {"slots": 3, "batch_size": 2, "data": "inline", "control": "http"},
        {"slots": 2, "batch_size": 4, "data": "system_shm"},
    ]
    labels = [labels_of(operate(tmp_path, triton_server, union(ENTRIES), **options)) for options in runs]
    for other in labels[1:]:
        np.testing.assert_array_equal(other, labels[0])


def test_labels_that_are_not_those_of_the_model(tmp_path: Path, triton_server: Any, case: NDArray[np.float32]) -> None:
    lacking = union([ENTRIES[0], {"model_name": "places3d", "labels": {"1": 7}}])
    with pytest.raises(ConfigError, match=r"models\[1\]: model places3d: labels lacks 2, expected 1 to 2"):
        operate(tmp_path, triton_server, lacking)
    common = union([ENTRIES[0], {"model_name": "places3d", "offset": 3}])
    with pytest.raises(ConfigError, match="final label 4 is one of model classes5 too"):
        operate(tmp_path, triton_server, common)
    with pytest.raises(ConfigError, match=r"--scores or --uncertainty: .* a union makes labels of each model"):
        operate(tmp_path, triton_server, union(ENTRIES), scores="1")
