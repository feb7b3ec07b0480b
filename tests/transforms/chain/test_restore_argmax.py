"""A linear restore and the following argmax: one stage, the labels of two, and never K scores on the file's grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from traced_memory import traced
from transforms_finish import finish
from transforms_oracle import ORIENTATIONS, affine_of, load, transform, volume_of, zoom

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.chain.outputs import labels_of_file
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.restore_argmax import RestoredArgmax
from gpu_infer.transforms.chain.single import BarrierStage, RestoreStage
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Geometry

FLOAT = np.dtype(np.float32)
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
NEAREST = transform("RestoreOriginalShape", field="model", src_field="image")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RANGE = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)
KEEP = transform("KeepLargestCC", fields="model")
ONE = RestoredArgmax("model", LINEAR, ARGMAX)


class Counting(CpuBackend):
    """Records the arrays that it makes and the operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.arrays: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self.called: list[str] = []

    def empty(self, shape: Any, dtype: Any) -> Any:
        self.arrays.append((tuple(shape), np.dtype(dtype)))
        return super().empty(shape, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        self.arrays.append((tuple(shape), np.dtype(dtype)))
        return super().zeros(shape, dtype)

    def __getattribute__(self, name: str) -> Any:
        if name in ("resample", "argmax", "resample_labels", "restore_argmax"):
            self.called.append(name)
        return super().__getattribute__(name)


# -- the fold ---------------------------------------------------------------------------------------------------
def test_the_plan_names_one_pass() -> None:
    assert Pipeline([load()], [LINEAR, ARGMAX]).describe()[1:] == [
        "2. inference: image -> model, averaged scores",
        "3. model: RestoreOriginalShape(src_field=image, is_label=false) + ArgmaxAcrossChannels, one pass",
        "4. model: delivered in the file's axis order",
    ]


# -- the labels -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("orientation", range(0, 48, 5))
def test_labels_are_those_of_scipy(orientation: int, align_corners: bool) -> None:
    volume = volume_of(np.zeros((7, 9, 8), np.int16), affine_of(*ORIENTATIONS[orientation], (1.0, 0.9, 2.5)))
    scale = transform("ScaleByFactor", fields="image", factor=[0.7, 1.6, 1.2], align_corners=align_corners)
    pipeline = Pipeline([load(), scale], [LINEAR, ARGMAX])
    fields = pipeline.prepare(volume, CpuBackend())
    scores = np.random.default_rng(orientation).normal(size=(5, *fields["image"].shape)).astype(np.float32)
    backend = Counting()
    labels = finish(pipeline, scores, fields, backend)
    loaded = fields["image"].source.loaded.shape
    expected = zoom(scores, loaded, grid_mode=not align_corners)
    first, second = np.sort(expected, axis=0)[-1:-3:-1]
    clear = first - second > 1e-5
    assert clear.mean() > 0.99
    seen = fields["image"].source.orientation.view(labels)
    assert_array_equal(seen[clear], expected.argmax(0)[clear])
    assert labels.flags.f_contiguous
    assert backend.called == ["restore_argmax"]
    assert [dtype for _, dtype in backend.arrays] == [np.uint8]


STEPS = st.one_of(
    st.tuples(
        st.just("ScaleByFactor"),
        st.fixed_dictionaries(
            {"factor": st.sampled_from((0.5, 1.4, [2, 1, 0.4], [0.7, 1.9, 1.3])), "align_corners": st.booleans()}
        ),
    ),
    st.tuples(
        st.just("CropFixedSizeCenter"),
        st.fixed_dictionaries({"size": st.tuples(*[st.integers(1, 9)] * 3).map(list)}),
    ),
    st.tuples(st.just("SymmetricPadderDiv"), st.fixed_dictionaries({"div_int": st.sampled_from((2, 3, [1, 4, 5], 7))})),
    st.tuples(st.just("CropForegroundObject"), st.fixed_dictionaries({"threshold": st.floats(0.7, 0.99)})),
)


@example([("ScaleByFactor", {"factor": 1.4}), ("CropFixedSizeCenter", {"size": [1, 2, 3]})], 3, 1)
@example([("CropFixedSizeCenter", {"size": [2, 2, 2]}), ("SymmetricPadderDiv", {"div_int": 7})], 7, 1)
@example(
    [
        ("ScaleByFactor", {"factor": 0.5}),
        ("CropFixedSizeCenter", {"size": [2, 2, 1]}),
        ("SymmetricPadderDiv", {"div_int": 7}),
        ("ScaleByFactor", {"factor": 1.4, "align_corners": False}),
        ("CropFixedSizeCenter", {"size": [5, 5, 5]}),
    ],
    11,
    1,
)
@given(st.lists(STEPS, max_size=5), st.integers(0, 47), st.integers(0, 2**32 - 1))
def test_one_stage_gives_the_labels_of_two(chain: Any, orientation: int, seed: int) -> None:
    """Crops, pads and resamplings in any order; to the bit, also if classes tie."""
    rng = np.random.default_rng(seed)
    volume = volume_of(rng.random((6, 5, 7), dtype=np.float32), affine_of(*ORIENTATIONS[orientation]))
    pre = [load(), *(transform(name, fields="image", **args) for name, args in chain)]
    pipeline = Pipeline(pre, [LINEAR, ARGMAX])
    backend = CpuBackend()
    fields = pipeline.prepare(volume, backend)
    scores = np.round(rng.normal(size=(4, *fields["image"].shape)), 1).astype(np.float32)
    one = finish(pipeline, scores, fields, backend)

    state = pipeline._inference.result(fields["image"], 4)
    state.array = scores
    for stage in (RestoreStage(LINEAR, "model"), BarrierStage(ARGMAX, "model")):
        stage.run({"model": state}, FLOAT, backend)
    two = labels_of_file(state, backend)
    assert_array_equal(one, two)
    assert one.dtype == two.dtype == np.uint8
    assert one.flags.f_contiguous


def test_what_was_cropped_away_is_background() -> None:
    crop = transform("CropFixedSizeCenter", fields="image", size=[2, 3, 2])
    pipeline = Pipeline([load(), crop], [LINEAR, ARGMAX])
    fields = pipeline.prepare(volume_of(np.zeros((6, 5, 4), np.int16)), CpuBackend())
    scores = np.zeros((300, 2, 3, 2), np.float32)
    scores[299] = 1
    expected = np.zeros((6, 5, 4), np.uint16)
    expected[2:4, 1:4, 1:3] = 299
    labels = finish(pipeline, scores, fields, CpuBackend())
    assert_array_equal(labels, expected)
    assert labels.dtype == np.uint16


def test_background_mixes_with_scores_below_zero() -> None:
    """At the rim of a crop all scores go towards 0, and class 0 wins outside of the window."""
    chain = [
        transform("ScaleByFactor", fields="image", factor=2),
        transform("CropFixedSizeCenter", fields="image", size=4),
    ]
    pipeline = Pipeline([load(), *chain], [LINEAR, ARGMAX])
    fields = pipeline.prepare(volume_of(np.zeros((6, 6, 6), np.int16)), CpuBackend())
    scores = np.full((2, 4, 4, 4), -3.0, np.float32)
    scores[1] = -1.0
    labels = finish(pipeline, scores, fields, CpuBackend())
    whole = np.zeros((2, 12, 12, 12), np.float32)
    whole[:, 4:8, 4:8, 4:8] = scores
    assert_array_equal(labels, zoom(whole, (6, 6, 6)).argmax(0))
    assert 0 < labels.sum() < 64


# -- memory -----------------------------------------------------------------------------------------------------
def _peak(pipeline: Pipeline, fields: Any, scores: np.ndarray) -> int:
    return traced(lambda: finish(pipeline, scores, fields, CpuBackend()))[1]


CHAINS = {
    "scaled": [transform("ScaleByFactor", fields="image", factor=0.5)],
    "scaled and cropped": [
        transform("ScaleByFactor", fields="image", factor=0.5),
        transform("CropFixedSizeCenter", fields="image", size=20),
    ],
    "cropped and padded": [
        transform("CropFixedSizeCenter", fields="image", size=50),
        transform("SymmetricPadderDiv", fields="image", div_int=16),
    ],
    "both corner conventions": [
        transform("ScaleByFactor", fields="image", factor=0.8),
        transform("ScaleByFactor", fields="image", factor=0.6, align_corners=False),
    ],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_the_plan_counts_what_is_held(chain: str) -> None:
    volume = volume_of(np.zeros((64, 60, 56), np.int16))
    pipeline = Pipeline([load(), *CHAINS[chain]], [LINEAR, ARGMAX])
    fields = pipeline.prepare(volume, CpuBackend())
    scores = np.random.default_rng(0).random((10, *fields["image"].shape), dtype=np.float32)
    finish(pipeline, scores, fields, CpuBackend())  # whatever Numba loads is loaded
    trace = pipeline.trace(1, volume.geometry, np.int16, classes=10)
    (stage,) = (s for s in trace if s.line.endswith("one pass") and s.field == "model")
    assert (stage.dtype_in, stage.dtype_out) == (np.float32, np.uint8)
    assert (stage.shape_in, stage.shape_out) == (scores.shape, (1, 64, 60, 56))
    assert 0.9 * stage.bytes < _peak(pipeline, fields, scores) < stage.bytes + (200 << 10)
    if chain != "both corner conventions":
        assert stage.bytes < 64 * 60 * 56 * 10 * 4 / 4


def test_the_plan_of_a_run_has_no_scores_on_the_files_grid() -> None:
    scale = transform("ScaleByResolution", fields="image", target_resolution=(2, 2, 2))
    pipeline = Pipeline([load(), scale], [LINEAR, ARGMAX])
    trace = pipeline.trace(1, Geometry((512, 512, 400), np.eye(4)), np.int16, classes=105)
    voxels, grid = 512 * 512 * 400, 256 * 256 * 200
    assert [s.bytes for s in trace][-3:] == [105 * grid * 4, voxels, 0]
    assert trace.peak_bytes == 105 * grid * 4 + voxels


# -- scores of another dtype ------------------------------------------------------------------------------------
class Rounded(Barrier):
    """Makes float64 of scores."""

    name = "Rounded"

    def trace(self, field: FieldState) -> None:
        field.dtype = np.dtype(np.float64)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return np.round(array).astype(np.float64)


def test_scores_of_another_dtype_take_two_steps() -> None:
    crop = transform("CropFixedSizeCenter", fields="image", size=3)
    pipeline = Pipeline([load(), crop], [Rounded(fields="model"), LINEAR, ARGMAX])
    backend = Counting()
    fields = pipeline.prepare(volume_of(np.zeros((5, 5, 5), np.int16)), backend)
    scores = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    backend.called.clear()
    labels = finish(pipeline, scores, fields, backend)
    assert backend.called == ["argmax", "resample_labels"]
    expected = np.zeros((5, 5, 5), np.uint8)
    expected[1:4, 1:4, 1:4] = np.round(scores).argmax(0)
    assert_array_equal(labels, expected)
    trace = pipeline.trace(1, Geometry((5, 5, 5), np.eye(4)), np.int16, classes=3)
    assert trace.stages[-2].bytes == math.prod((5, 5, 5)) * (3 * 8 + 1)
