"""Custom transforms: barriers, crops with undo, new fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from transforms_finish import finish, finish_fields
from transforms_oracle import ORIENTATIONS, affine_of, transform, volume_of, zoom

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Integer, Names
from gpu_infer.transforms.base import Barrier, Branch, FieldsArguments, Pointwise, is_transform
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.field import FieldState, Resampled

BACKEND = CpuBackend()
LOAD = transform("LoadNifti", fields="image")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")


class Halve(Pointwise):
    """Half of every value."""

    name = "Halve"

    def function(self, field: FieldState) -> ClampedAffine:
        return ClampedAffine(scale=0.5)


class Margin(Barrier):
    """Crops `width` voxels on every side; pads with 0 if it is negative."""

    name = "Margin"

    class Args(FieldsArguments):
        width: Integer

    def _shape(self, field: FieldState) -> Any:
        return tuple(n - 2 * self.args.width for n in field.shape)

    def trace(self, field: FieldState) -> None:
        field.windowed((self.args.width,) * 3, self._shape(field))

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        c = self.args.width
        result = array[:, c:-c, c:-c, c:-c] if c > 0 else np.pad(array, [(0, 0)] + [(-c, -c)] * 3)
        self.trace(field)
        return result


class Split(Branch):
    """One new field per channel."""

    name = "Split"

    class Args(FieldsArguments):
        names: Names

    @property
    def creates(self) -> tuple[str, ...]:
        return tuple(self.args.names)

    def trace(self, fields: dict[str, FieldState]) -> None:
        origin = fields[self.fields[0]]
        for name in self.creates:
            fields[name] = origin.copy(name=name, channels=1, array=None)

    def apply(self, fields: dict[str, FieldState], backend: Backend) -> None:
        self.trace(fields)
        origin = fields[self.fields[0]]
        for channel, name in enumerate(self.creates):
            fields[name].array = origin.array[channel : channel + 1]


def test_kinds() -> None:
    assert all(is_transform(c) for c in (Halve, Margin, Split))
    assert not any(is_transform(c) for c in (Pointwise, Barrier, int, "Halve", Halve(fields="image")))


def test_a_pass_between_barriers_is_float32_and_the_last_stage_has_the_models_dtype() -> None:
    data = np.arange(6 * 6 * 6, dtype=np.int16).reshape(6, 6, 6)
    for chain in (
        [LOAD, Margin(fields="image", width=1)],
        [LOAD, Margin(fields="image", width=1), Halve(fields="image")],
    ):
        fields = Pipeline(chain, [ARGMAX]).prepare(volume_of(data), BACKEND, np.float16)
        factor = 0.5 if len(chain) == 3 else 1.0
        assert fields["image"].array.dtype == np.float16
        assert_array_equal(fields["image"].array[0], data[1:-1, 1:-1, 1:-1] * factor)


@pytest.mark.parametrize("orientation", [0, 7, 22, 41])
@pytest.mark.parametrize("width", [1, -2])
@pytest.mark.parametrize("resampled", ["before", "after", "not"])
def test_crops_and_pads_are_undone(orientation: int, width: int, resampled: str) -> None:
    data = np.zeros((7, 6, 5), np.int16)
    volume = volume_of(data, affine_of(*ORIENTATIONS[orientation], (1.0, 1.0, 1.0)))
    scale = transform("ScaleByResolution", fields="image", target_resolution=(0.5, 0.7, 1.0))
    margin = Margin(fields="image", width=width)
    chain = {"before": [LOAD, scale, margin], "after": [LOAD, margin, scale], "not": [LOAD, margin]}[resampled]
    pipeline = Pipeline(chain, [ARGMAX, RESTORE])
    fields = pipeline.prepare(volume, BACKEND)
    image = fields["image"]
    small = np.random.default_rng(5).integers(1, 9, image.shape).astype(np.uint8)
    got = image.source.orientation.view(finish(pipeline, small, fields, BACKEND))

    want = small
    for step in reversed(image.history):
        if isinstance(step, Resampled):
            want = zoom(want[None], step.before, order=0)[0]
        elif width > 0:
            want = np.pad(want, width)
        else:
            want = want[-width:width, -width:width, -width:width]
    assert_array_equal(got, want)
    trace = pipeline.trace(1, volume.geometry, np.int16)
    assert trace.model_shape == image.shape
    assert trace.stages[-1].shape_out == (1, *image.source.loaded.shape)


class Signed(Barrier):
    """Makes labels of a dtype that no transform of the package makes."""

    name = "Signed"
    makes_labels = True

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return (array > 0).astype(np.int16)


def test_labels_of_another_dtype_are_not_split() -> None:
    split = transform("SplitBasedOnLabel", field="model", label_names=["rest", "liver"])
    pipeline = Pipeline([LOAD], [Signed(fields="model"), split], outputs=["liver"])
    volume = volume_of(np.zeros((4, 5, 6), np.int16))
    fields = pipeline.prepare(volume, BACKEND)
    with pytest.raises(ConfigError, match="SplitBasedOnLabel: 'model' holds int16, expected labels of uint8 or uint16"):
        finish_fields(pipeline, np.zeros((1, 4, 5, 6), np.float32), fields, BACKEND)


def test_new_fields() -> None:
    scores = np.random.default_rng(2).random((2, 3, 4, 5), dtype=np.float32)
    split = Split(fields="model", names=["a", "b"])
    pipeline = Pipeline([LOAD], [split, Halve(fields="b"), ARGMAX])
    assert pipeline.finalizer == "scores"
    fields = pipeline.prepare(volume_of(np.zeros((3, 4, 5), np.int16)), BACKEND)
    assert_array_equal(finish(pipeline, scores, fields, BACKEND), np.argmax(scores, axis=0))
    assert [s.field for s in pipeline.trace(1, fields["image"].source.geometry, np.int16)][-4:] == [
        "model",
        "b",
        "model",
        "model",
    ]
