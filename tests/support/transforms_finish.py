"""Running the post-transforms on fields that stay as they are, so that a test can do it again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.field import Fields


def finish_fields(pipeline: Pipeline, result: Array, fields: Fields, backend: Backend) -> dict[str, Array]:
    """Labels [I, J, K] in the file's order by output field: `accept` and `deliver` on copies of `fields`."""
    copies = {name: state.copy() for name, state in fields.items()}
    pipeline.accept(result, copies)
    return pipeline.deliver(copies, backend)


def finish(pipeline: Pipeline, result: Array, fields: Fields, backend: Backend) -> Array:
    """`finish_fields` of a pipeline with one output."""
    (labels,) = finish_fields(pipeline, result, fields, backend).values()
    return labels


def in_loaded_axes(labels: NDArray[np.generic], fields: Fields) -> NDArray[np.generic]:
    """View [X, Y, Z] of labels [I, J, K]."""
    return fields["image"].source.orientation.view(labels)
