"""Post-transforms and writers that are refused: one line, with file, key, what was found and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import assert_refused, component, lung

CASES: list[tuple[Any, str]] = [
    (
        lung(post_transforms=[]),
        "post_transforms: no transform turns the scores in 'model' into labels (add ArgmaxAcrossChannels, or "
        "ThresholdValues for a model with one output channel)",
    ),
    (lung(writer={}), '"writers" and "writer" exclude each other (keep one)'),
    (lung(writers={}), "writers: expected a list of components, found {}"),
    (
        lung(writers=[component("W", dtype="float32")]),
        'writers[0].args.dtype: expected one of uint8, uint16, uint32, int8, int16, int32, found "float32"',
    ),
    (
        lung(writers=[component("W", dtypes="float")]),
        'writers[0].args.dtypes: expected one of uint8, uint16, uint32, int8, int16, int32, found "float"',
    ),
    (
        lung(writers=[component("W", dtypes=["uint8", "uint16"])]),
        'writers[0].args.dtypes: expected one of uint8, uint16, uint32, int8, int16, int32, found ["uint8", "uint16"]',
    ),
    (
        lung(writers=[component("W", dtype="uint8", dtypes="uint16")]),
        'writers[0].args: "dtype" and "dtypes" are the same argument (keep one)',
    ),
    (
        lung(writers=[component("W", field="modle")]),
        "writers[0].args.field: unknown field 'modle'; did you mean 'model'? known: image, model",
    ),
    (
        lung(writers=[component("W", field="image")]),
        "writers[0].args.field: 'image' holds an image, expected labels to write (name one of model)",
    ),
    (
        lung(writers=[component("W", field=["model"])]),
        'writers[0].args.field: expected the name of a field, found ["model"]',
    ),
    (
        lung(writers=[component("W", dtype="uint8"), component("V", field="model")]),
        'writers[1].args.field: "model" is written already (give every writer another field)',
    ),
    (
        lung(
            post_transforms=[
                component("SplitAcrossChannels", field="model", channel_names=["a", "b"]),
                component("ThresholdValues", fields="a", threshold=0.5),
            ],
            writers=[component("W", field="a"), component("W", field="b")],
        ),
        "post_transforms: no transform turns the scores in 'b' into labels (add ArgmaxAcrossChannels, or "
        "ThresholdValues for a model with one output channel)",
    ),
    (
        lung(
            post_transforms=[
                component("ArgmaxAcrossChannels", fields="model"),
                component("SplitBasedOnLabel", field="model", label_names=["rest", "lobe/left"]),
            ],
            writers=[component("W", field="rest"), component("W", field="lobe/left")],
        ),
        'writers[1].args.field: "lobe/left" cannot be part of a file name (give the field another name)',
    ),
    (
        lung(post_transforms=[component("ThresholdAcrossChannels", fields="model", threshold=[0.5, 0.4])]),
        "post_transforms: leave 2 channels in 'model', expected 1 (make one label map of them with "
        "ArgmaxAcrossChannels, or one field of each with SplitAcrossChannels, and name the fields in writers)",
    ),
]


@pytest.mark.parametrize(("document", "message"), CASES, ids=[m[:60] for _, m in CASES])
def test_refuses(tmp_path: Path, document: Any, message: str) -> None:
    assert_refused(tmp_path, document, message)
