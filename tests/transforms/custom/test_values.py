"""What hooks of custom transforms return, other than arrays."""

from __future__ import annotations

import pytest
from component_author import DATA, Author, returning
from transforms_oracle import volume_of

from gpu_infer.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("Pointwise", returning("function", "0.5"), "function: expected a ClampedAffine, found float 0.5"),
        ("Pointwise", "function = ClampedAffine()", "function failed: TypeError: 'ClampedAffine' object is not callab"),
        (
            "Pointwise",
            returning("function", "ClampedAffine(math.nan)"),
            "a finite scale, shift and centre, found Clamp",
        ),
        ("Pointwise", returning("function", "ClampedAffine(low=1, high=0)"), "a ClampedAffine with low ≤ high, found"),
        ("Measured", returning("measure", "ClampedAffine(shift=math.inf)"), "with a finite scale, shift and centre"),
        ("Crop", returning("box", "(0, 0, 0), (9, 7, 6)"), "expected a box inside the grid (8, 7, 6), found (9, 7, 6)"),
        ("Crop", returning("box", "(-1, 0, 0), (2, 2, 2)"), "expected a box inside the grid (8, 7, 6), found (2, 2, "),
        ("Crop", returning("box", "(0, 0, 0), (2, 2, 0)"), "expected a first index (X, Y, Z) and a shape (X, Y, Z)"),
        ("Crop", returning("box", "(0, 0), (2, 2)"), "expected a first index (X, Y, Z) and a shape (X, Y, Z)"),
        ("Crop", returning("box", "(0, 0, 0), (2.0, 2, 2)"), "expected a first index (X, Y, Z) and a shape (X, Y, Z)"),
        ("Crop", returning("box", "(2, 2, 2)"), "expected a first index (X, Y, Z) and a shape (X, Y, Z), found tuple"),
        ("Barrier", returning("scratch_bytes", "-1") + "\n" + returning("apply", "array"), "scratch_bytes: expected a"),
        (
            "Barrier",
            returning("outcome", "'mask'") + "\n" + returning("apply", "array"),
            'outcome: expected "image", "',
        ),
        (
            "Barrier",
            "channels = '2'\n" + returning("apply", "array"),
            "channels: expected a number of channels or None",
        ),
        ("Metadata", "def update(self, fields):\n    del fields['image']", "update: expected the field 'image', found"),
        (
            "Metadata",
            "def update(self, fields):\n    fields['new'] = 1",
            "update: expected a FieldState as 'new', foun",
        ),
        (
            "Metadata",
            "def update(self, fields):\n    fields['image'].kind = 'ct'",
            'update: expected "image", "scores"',
        ),
    ],
)
def test_other_values(author: Author, kind: str, body: str, message: str) -> None:
    assert message in author.refusal(kind, body)


TABLES = "field.shape, tuple(linear_table(n, n) for n in field.shape)"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"interpolation = 'cubic'\n{returning('tables', TABLES)}", 'interpolation: expected "linear" or "nearest"'),
        (
            f"def interpolation(self):\n    return 'linear'\n{returning('tables', TABLES)}",
            'interpolation: expected "linear" or "nearest", found method <bound',
        ),
        (
            f"@property\ndef interpolation(self):\n    return 'cubic'\n{returning('tables', TABLES)}",
            'interpolation: expected "linear" or "nearest", found str \'cubic\'',
        ),
        (
            "interpolation = 'linear'\n"
            + returning("tables", "(4, 4, 4), tuple(linear_table(n, 3) for n in (8, 7, 6))"),
            "tables: expected 4 entries in the table of X, as in its shape, found 3",
        ),
        (
            "interpolation = 'linear'\n" + returning("tables", "(4, 4, 4), tuple(linear_table(99, 4) for n in '123')"),
            "tables: expected indices 0 … 7 in the table of X, found 0 … 98",
        ),
        (
            "interpolation = 'linear'\n" + returning("tables", "(4, 4, 4), None"),
            "tables: expected a shape (X, Y, Z) and one AxisTable per axis, found None",
        ),
        (
            "interpolation = 'linear'\n"
            + returning("tables", "(1, 1, 1), (AxisTable(np.array([0]), np.array([1]), np.array([np.nan])),) * 3"),
            "tables: expected weights 0 … 1 in the table of X, found nan … nan",
        ),
    ],
)
def test_tables(author: Author, body: str, message: str) -> None:
    assert message in author.refusal("Regrid", body)


@pytest.mark.parametrize("value", ["'image'", "[1]", "None"])
def test_fields_that_are_no_names(author: Author, value: str) -> None:
    body = f"@property\ndef fields(self):\n    return {value}\n" + returning("apply", "array")
    assert author.refusal("Barrier", body).startswith("fields: expected a tuple of names, found ")


APPLY = returning("apply", "array")
MEASURE = returning("measure", "ClampedAffine()")


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("Barrier", f"makes_labels = 'yes'\n{APPLY}", "makes_labels: expected True or False, found str 'yes'"),
        ("Barrier", f"is_fusable = True\n{APPLY}", "is_fusable: expected False, found bool True (only Load, Pointwise"),
        (
            "Pointwise",
            f"is_fusable = False\n{returning('function', 'ClampedAffine()')}",
            "is_fusable: expected True, found bool False (make it a Barrier, which is a stage of its own)",
        ),
        ("Barrier", f"finalizer = 'sum'\n{APPLY}", 'finalizer: expected None, "argmax" for a ChannelReduction or "mas'),
        ("Barrier", f"finalizer = 'argmax'\n{APPLY}", 'finalizer: expected None, "argmax" for a ChannelReduction or'),
        (
            "Measured",
            f"needs_array = False\n{MEASURE}",
            "needs_array: expected True, found bool False (or add `func",
        ),
    ],
)
def test_attributes_of_a_class(author: Author, kind: str, body: str, message: str) -> None:
    assert author.refusal(kind, body).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("(0.5, math.nan)", "thresholds: expected a tuple of finite numbers, found tuple (0.5, nan)"),
        ("()", "thresholds: expected a tuple of finite numbers, found tuple ()"),
        ("0.5", "thresholds: expected a tuple of finite numbers, found float 0.5"),
    ],
)
def test_thresholds(author: Author, value: str, message: str) -> None:
    body = f"thresholds = {value}\n{APPLY}"
    assert author.refusal("ChannelMask", body, post=True, argmax=False).startswith(message)


@pytest.mark.parametrize("value", ["None", "'RAS'"])
def test_orientation_of_a_custom_load(author: Author, value: str) -> None:
    config = author.load("Load", f"def orientation(self, geometry):\n    return {value}", loads=True)
    with pytest.raises(ConfigError, match=r"pre_transforms\[0\]: Mine: orientation: expected an Orientation of the"):
        config.pipeline().trace(1, volume_of(DATA).geometry, "i2")
