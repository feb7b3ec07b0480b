"""Random chains of every transform that works on an image: fused against one by one and against NumPy, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from transforms_finish import finish
from transforms_oracle import ARGMAX, BACKEND, ORIENTATIONS, affine_of, load, scale_range, transform, volume_of, zoom

from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.restore import steps_back
from gpu_infer.transforms.field import Resampled, Source, Windowed

FLOAT = np.dtype(np.float32)
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")

levels = st.floats(-2, 2).map(lambda v: round(v, 2))
sizes = st.tuples(*[st.integers(1, 9)] * 3).map(list)
range_args = st.tuples(levels, levels, levels, levels, st.booleans()).filter(lambda a: abs(a[0] - a[1]) > 0.5)
RANGE_NAMES = ("a_min", "a_max", "b_min", "b_max", "clip")

STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "ScaleIntensityRange": range_args.map(lambda a: dict(zip(RANGE_NAMES, a, strict=True))),
    "ScaleByFactor": st.fixed_dictionaries(
        {"factor": st.sampled_from((0.5, 1, [2, 1, 0.4])), "align_corners": st.booleans()}
    ),
    "ScaleToShape": st.fixed_dictionaries({"target_shape": sizes, "is_label": st.booleans()}),
    "CropFixedSizeCenter": st.fixed_dictionaries({"size": sizes}),
    "SymmetricPadderDiv": st.fixed_dictionaries({"div_int": st.sampled_from((2, 3, [1, 4, 5]))}),
    "CropForegroundObject": st.fixed_dictionaries({"threshold": levels, "pad": st.integers(0, 2)}),
    "NormalizeNonzeroIntensities": st.just({}),
    "CenterData": st.sampled_from(({}, {"subtrahend": 0.5}, {"subtrahend": 0.1, "divisor": -2})),
    "ThresholdValues": st.fixed_dictionaries({"threshold": levels}),
    "ConvertToChannelsLast": st.just({}),
}
steps = st.sampled_from(sorted(STEPS)).flatmap(lambda n: st.tuples(st.just(n), STEPS[n]))


class Oracle:
    """What a chain makes of an array in NumPy; `gain` is how much it can blow up an error."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.gain = array, 1.0

    def apply(self, name: str, args: dict[str, Any]) -> None:
        getattr(self, name)(**args)
        self.gain = max(self.gain, float(np.abs(self.array).max()))

    def _sharp(self, threshold: float) -> None:
        """Skip arrays with a value so close to the threshold that rounding decides."""
        apart = np.abs(self.array - threshold)
        assume(not np.any(apart < 1e-4 * self.gain))

    def _deviation(self, values: np.ndarray) -> float:
        std = float(values.std())
        assume(std > 0.02 * self.gain)
        self.gain = max(self.gain, self.gain / std)
        return std

    def ScaleIntensityRange(self, **args: Any) -> None:  # noqa: N802
        self.array = scale_range(self.array, **args)
        self.gain *= max(1.0, abs((args["b_max"] - args["b_min"]) / (args["a_max"] - args["a_min"])))

    def ScaleByFactor(self, factor: Any, align_corners: bool) -> None:  # noqa: N802
        each = [factor] * 3 if isinstance(factor, (int, float)) else factor
        shape = [max(1, round(n * f)) for n, f in zip(self.array.shape[1:], each, strict=True)]
        self.array = zoom(self.array, shape, grid_mode=not align_corners)

    def ScaleToShape(self, target_shape: Any, is_label: bool) -> None:  # noqa: N802
        self.array = zoom(self.array, target_shape, order=0 if is_label else 1)

    def CropFixedSizeCenter(self, size: Any) -> None:  # noqa: N802
        box = [
            slice(max(0, n - m) // 2, max(0, n - m) // 2 + min(n, m))
            for n, m in zip(self.array.shape[1:], size, strict=True)
        ]
        self.array = self.array[(slice(None), *box)]

    def SymmetricPadderDiv(self, div_int: Any) -> None:  # noqa: N802
        each = [div_int] * 3 if isinstance(div_int, int) else div_int
        total = [-(-n // d) * d - n for n, d in zip(self.array.shape[1:], each, strict=True)]
        self.array = np.pad(self.array, [(0, 0), *((t // 2, t - t // 2) for t in total)])

    def CropForegroundObject(self, threshold: float, pad: int) -> None:  # noqa: N802
        self._sharp(threshold)
        inside = np.argwhere((self.array > threshold).any(axis=0))
        if inside.size:
            low = np.maximum(inside.min(axis=0) - pad, 0)
            high = inside.max(axis=0) + 1 + pad
            self.array = self.array[(slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))]

    def NormalizeNonzeroIntensities(self) -> None:  # noqa: N802
        assume(not np.any((self.array != 0) & (np.abs(self.array) < 1e-4 * self.gain)))
        inside = self.array != 0
        values = self.array[inside]
        assume(values.size > 0)
        scaled = np.zeros_like(self.array)
        scaled[inside] = (values - values.mean()) / self._deviation(values)
        self.array = scaled

    def CenterData(self, subtrahend: float | None = None, divisor: float | None = None) -> None:  # noqa: N802
        mean = self.array.mean() if subtrahend is None else subtrahend
        self.array = (self.array - mean) / (self._deviation(self.array) if divisor is None else divisor)

    def ThresholdValues(self, threshold: float) -> None:  # noqa: N802
        self._sharp(threshold)
        self.array = (self.array > threshold).astype(np.float64)

    def ConvertToChannelsLast(self) -> None:  # noqa: N802
        pass


def one_by_one(chain: Any, fields: Any) -> None:
    for t in chain:
        (stage,) = fold([t])
        stage.run(fields, FLOAT, BACKEND)


@given(st.lists(steps, max_size=5), st.integers(0, 47), st.integers(0, 2**32 - 1))
def test_fused_equals_one_by_one_and_numpy(chain: Any, orientation: int, seed: int) -> None:
    data = np.random.default_rng(seed).random((2, 4, 6, 5), dtype=np.float32)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], (1.0, 0.9, 2.5)))
    transforms = [load(), *(transform(name, fields="image", **args) for name, args in chain)]
    pipeline = Pipeline(transforms, ARGMAX)
    source = Source(volume.geometry, volume.geometry.orientation)
    single = pipeline._loaded(2, FLOAT, source)
    single.array = single.source.orientation.view(data)
    oracle = Oracle(single.array.astype(np.float64))
    for name, args in chain:
        oracle.apply(name, args)

    fused = pipeline.prepare(volume, BACKEND)["image"]
    one_by_one(transforms, {"image": single})
    assert fused.shape == single.shape == oracle.array.shape[1:]
    assert (fused.history, fused.spacing) == (single.history, single.spacing)
    assert_allclose(fused.array, single.array, atol=1e-5 * oracle.gain, rtol=0)
    assert_allclose(fused.array, oracle.array, atol=1e-5 * oracle.gain, rtol=0)

    trace = pipeline.trace(2, volume.geometry, data.dtype)
    if not pipeline.grid_decided_by_voxels:
        assert trace.model_shape == fused.shape
        assert trace.model_bytes == fused.array.nbytes


undone = st.one_of(
    st.tuples(st.just("CropFixedSizeCenter"), STEPS["CropFixedSizeCenter"]),
    st.tuples(st.just("SymmetricPadderDiv"), STEPS["SymmetricPadderDiv"]),
    st.tuples(st.just("CropForegroundObject"), st.fixed_dictionaries({"threshold": st.integers(0, 90)})),
    st.tuples(st.just("enlarge"), st.sampled_from((2, 3))),
)


@given(st.lists(undone, max_size=4), st.integers(0, 47))
def test_what_survives_comes_back_to_its_place(chain: Any, orientation: int) -> None:
    """Every voxel has a unique number: voxels that reach the model come back, all others are 0."""
    data = np.arange(1, 121, dtype=np.int16).reshape(4, 5, 6)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], (1.0, 0.9, 2.5)))
    pre: list[Any] = [load()]
    for name, args in chain:
        if name == "enlarge":  # every voxel becomes a block, and the restore reads its middle
            pre.append(transform("ScaleByFactor", fields="image", factor=args, is_label=True, align_corners=False))
        else:
            pre.append(transform(name, fields="image", **args))
    pipeline = Pipeline(pre, [*ARGMAX, RESTORE])
    fields = pipeline.prepare(volume, BACKEND)
    seen = fields["image"].array[0].astype(np.uint8)
    got = finish(pipeline, seen, fields, BACKEND)
    assert got.shape == data.shape
    assert_array_equal(got[got != 0], data[got != 0])
    if not any(name == "enlarge" for name, _ in chain):
        assert set(got[got != 0]) == set(seen[seen != 0])
    names = [name for name, _ in chain]
    # enlarged first, padded then: each step back is exact (in the other order, one voxel covers several padded ones)
    if set(names) <= {"enlarge", "SymmetricPadderDiv"} and names == sorted(names, reverse=True):
        assert_array_equal(got, data)


def test_a_crop_alone_is_a_view() -> None:
    crop = transform("CropFixedSizeCenter", fields="model", size=2)
    pipeline = Pipeline([load()], [crop, transform("ThresholdValues", fields="model", threshold=0.5)])
    fields = pipeline.prepare(volume_of(np.zeros((4, 4, 4), np.int16)), BACKEND)
    scores = np.random.default_rng(1).random((1, 4, 4, 4), dtype=np.float32)
    want = np.zeros((4, 4, 4), np.uint8)
    want[1:3, 1:3, 1:3] = scores[0, 1:3, 1:3, 1:3] > 0.5
    assert_array_equal(finish(pipeline, scores, fields, BACKEND), want)
    assert pipeline.describe()[-2:] == [
        "5. model: back to the file's grid, nearest (no RestoreOriginalShape)",
        "6. model: delivered in the file's axis order",
    ]


def test_neighbouring_resamplings_are_undone_at_once() -> None:
    steps = (Resampled((9, 9, 9)), Resampled((8, 8, 8)), Windowed((7, 7, 7), (1, 1, 1)), Resampled((5, 5, 5)))
    assert steps_back(steps) == [steps[3], steps[2], steps[0]]
    mixed = (Resampled((9, 9, 9)), Resampled((8, 8, 8), align_corners=False))
    assert steps_back(mixed) == [mixed[1], mixed[0]]
