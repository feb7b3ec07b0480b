"""Transforms that have an inverse are undone by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from transforms_checks_labels import LABELS, finished
from transforms_finish import finish
from transforms_oracle import ARGMAX, BACKEND, ORIENTATIONS, affine_of, load, transform, volume_of

from gpu_infer.transforms.chain.pipeline import Pipeline

SPACING = (1.0, 0.75, 2.5)
DATA = np.arange(1, 121, dtype=np.int16).reshape(4, 5, 6)


@given(st.permutations(range(6)), st.integers(0, 1000))
def test_labels_in_another_order_and_back(order: list[int], first: int) -> None:
    labels, others = list(range(6)), [n + first for n in order]
    there = transform("RelabelValues", fields="model", orig_labels=labels, target_labels=others)
    back = transform("RelabelValues", fields="model", orig_labels=others, target_labels=labels)
    assert_array_equal(finished([*ARGMAX, there, back], LABELS)["model"], LABELS)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@given(st.tuples(*[st.integers(1, 4)] * 3), st.integers(0, 47))
def test_a_finer_grid_in_monais_placement_and_back(
    interpolation: str, parts: tuple[int, int, int], orientation: int
) -> None:
    """Every sample of the file is one of the finer grid, whatever lies between them."""
    affine = affine_of(*ORIENTATIONS[orientation], SPACING)
    volume = volume_of(DATA, affine)
    loaded = Pipeline([load()], ARGMAX).prepare(volume, BACKEND)["image"]
    target = [mm / n for mm, n in zip(loaded.spacing, parts, strict=True)]
    finer = {"target_spacing": target, "placement": "monai", "interpolation": interpolation}
    restore = transform("RestoreOriginalShape", field="model", src_field="image")
    pipeline = Pipeline([load(), transform("ScaleBySpacing", fields="image", **finer)], [*ARGMAX, restore])
    fields = pipeline.prepare(volume, BACKEND)
    assert fields["image"].shape == tuple((m - 1) * n + 1 for m, n in zip(loaded.shape, parts, strict=True))
    labels = fields["image"].array[0].round().astype(np.uint8)
    assert_array_equal(finish(pipeline, labels, fields, BACKEND), DATA)
