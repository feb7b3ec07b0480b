"""Mistakes in custom transforms end as one line that names the file, the key, the component, the hook and the cause."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from config_files import component, load, lung, pre
from transforms_finish import finish
from transforms_oracle import volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError, GpuInferError, Interrupted, ResourceError
from gpu_infer.transforms.base import Barrier

BACKEND = CpuBackend()

HEAD = """
import math
import sys
import numpy as np
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.errors import ConfigError, Interrupted, ResourceError
from gpu_infer.transforms.base import *
from gpu_infer.transforms.base import ChannelMask, Measured

class Mine({kind}):
"""

DATA = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)


class Author:
    """Writes a component, and runs it in a configuration."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "component_of_author", raising=False)

    def load(self, kind: str, body: str, *, post: bool = False, argmax: bool = True) -> Config:
        code = "".join(f"    {line}\n" for line in body.splitlines())
        (self.folder / "component_of_author.py").write_text(HEAD.format(kind=kind) + code)
        sys.modules.pop("component_of_author", None)
        entry = {"path": "component_of_author.Mine", "args": {"fields": "model" if post else "image"}}
        to_labels = [component("ArgmaxAcrossChannels", fields="model")] if argmax else []
        to_labels.append(lung()["post_transforms"][-1])
        return load(
            self.folder,
            lung(
                pre_transforms=pre() if post else pre(entry),
                post_transforms=[entry, *to_labels] if post else to_labels,
            ),
        )

    def run(self, kind: str, body: str, *, post: bool = False, argmax: bool = True) -> None:
        """Every hook in the order of a run: of the checks, of the plan and with arrays."""
        pipeline = self.load(kind, body, post=post, argmax=argmax).pipeline()
        pipeline.describe()
        volume = volume_of(DATA)
        pipeline.trace(1, volume.geometry, np.int16)
        fields = pipeline.prepare(volume, BACKEND)
        shape = fields["image"].shape
        result = np.zeros((2, *shape), np.float32) if post else np.zeros(shape, np.uint8)
        finish(pipeline, result, fields, BACKEND)

    def refusal(self, kind: str, body: str, *, post: bool = False, argmax: bool = True) -> str:
        with pytest.raises(ConfigError) as caught:
            self.run(kind, body, post=post, argmax=argmax)
        place = "post_transforms[0]" if post else "pre_transforms[1]"
        start = f"{self.folder}/config_inference.json: {place}: Mine: "
        message = str(caught.value)
        assert message.startswith(start)
        assert "\n" not in message
        return message.removeprefix(start)


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Author:
    return Author(tmp_path, monkeypatch)


def returning(hook: str, value: str) -> str:
    """The body of a class whose hook returns an expression."""
    arguments = {"apply": "array, field, backend", "measure": "array, field, backend"}.get(hook, "field")
    return f"def {hook}(self, {arguments}):\n    return {value}"


HOOKS = {
    "function": ("Pointwise", "return ClampedAffine()"),
    "measure": ("Measured", "return ClampedAffine()"),
    "tables": ("Regrid", "return field.shape, tuple(linear_table(n, n) for n in field.shape)"),
    "box": ("Crop", "return (0, 0, 0), field.shape"),
    "apply": ("Barrier", "return array"),
}
EXTRA = {"Regrid": "interpolation = 'linear'\n"}


@pytest.mark.parametrize("hook", HOOKS)
def test_components_without_mistakes_run(author: Author, hook: str) -> None:
    kind, code = HOOKS[hook]
    author.run(kind, EXTRA.get(kind, "") + returning(hook, code.removeprefix("return ")))


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise KeyError('atlas')", "failed: KeyError: 'atlas' (mend the component; --debug shows the traceback)"),
        ("raise RuntimeError('two\\nlines')", "failed: RuntimeError: two lines (mend the component; --debug"),
        ("open('/no/such/atlas')", "failed: FileNotFoundError: [Errno 2] No such file or directory: '/no/such/atlas'"),
        ("assert False", "failed: AssertionError (mend"),
        ("sys.exit(0)", "failed: it called sys.exit(0) (a component raises an exception to fail)"),
        ("raise GeneratorExit", "failed: GeneratorExit (mend"),
        ("raise ConfigError('no atlas', remedy='buy one')", "no atlas (buy one)"),
    ],
)
def test_an_exception(author: Author, hook: str, code: str, cause: str) -> None:
    kind, _ = HOOKS[hook]
    body = EXTRA.get(kind, "") + returning(hook, "None").replace("return None", code)
    assert cause in author.refusal(kind, body).removeprefix(f"{hook}")


@pytest.mark.parametrize(("kind", "hook"), [(kind, hook) for hook, (kind, _) in HOOKS.items()])
def test_nothing_returned(author: Author, kind: str, hook: str) -> None:
    message = author.refusal(kind, EXTRA.get(kind, "") + returning(hook, "None"))
    assert message.startswith(f"{hook}: expected ")
    assert message.endswith("found None (mend the component)")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("2 * array", "found int16"),
        ("array > 3", "found ndarray (1, 8, 7, 6) bool (convert it with astype)"),
        ("array.astype(np.int64)", "expected an array of int8, int16, int32, uint8"),
        ("array.astype(complex)", "found ndarray (1, 8, 7, 6) complex128"),
        ("array.astype(object)", "found ndarray (1, 8, 7, 6) object"),
        ("array[0]", "expected an array [C, X, Y, Z], found ndarray (8, 7, 6) float32"),
        ("array[:, :0]", "expected an array [C, X, Y, Z], found ndarray (1, 0, 7, 6) float32"),
        ("array.tolist()", "expected a numpy array, as its input is, found list [[[[0"),
        ("np.ma.masked_array(array)", "expected a numpy array, as its input is, found MaskedArray"),
        ("array.mean()", "expected a numpy array, as its input is, found float32 () float32"),
        ("np.concatenate([array, array])", "expected 1 channels as after `trace`, found 2 (set field.channels in"),
        ("np.where(array > 9, np.float32(1), np.nan)", "expected finite voxels, as in its input, found NaN or inf"),
        ("np.where(array > 9, np.float32(1), -np.inf)", "expected finite voxels, as in its input, found NaN or inf"),
    ],
)
def test_what_a_barrier_returns(author: Author, value: str, message: str) -> None:
    if message == "found int16":
        return author.run("Barrier", returning("apply", value))
    assert message in author.refusal("Barrier", returning("apply", value)).removeprefix("apply: ")
    return None


def test_an_undeclared_grid_of_a_barrier(author: Author) -> None:
    message = author.refusal("Barrier", returning("apply", "array[:, 1:]"))
    assert message.startswith("changed the grid of 'image' from (8, 7, 6) to (7, 7, 6), undeclared")


def test_scores_can_be_infinite_but_not_nan(author: Author) -> None:
    author.run("Barrier", returning("apply", "np.where(array == 0, -np.inf, array)"), post=True)
    message = author.refusal("Barrier", returning("apply", "np.full_like(array, np.nan)"), post=True)
    assert message.startswith("apply: expected no NaN, as in its input, found NaN (mend the")


def test_labels_of_another_dtype(author: Author) -> None:
    body = "makes_labels = True\ndef trace(self, field):\n    field.channels = 1\n"
    message = author.refusal("Barrier", body + returning("apply", "array.argmax(0)[None]"), post=True, argmax=False)
    assert message == (
        "apply: expected labels of uint8 or uint16, found ndarray (1, 8, 7, 6) int64 (convert them with astype)"
    )


WRITES = "fields can share an array, so write into a copy of it"


@pytest.mark.parametrize("statement", ["array[:] = 0", "field.array += 1", "np.clip(array, 0, 1, out=array)"])
@pytest.mark.parametrize("kind", ["Barrier", "Measured"])
def test_writing_into_the_input(author: Author, kind: str, statement: str) -> None:
    hook = "apply" if kind == "Barrier" else "measure"
    message = author.refusal(kind, returning(hook, "array").replace("return", f"{statement}\n    return"))
    assert WRITES in message
    assert message.startswith(f"{hook} failed: ValueError: ")


def test_writing_into_the_input_of_a_branch(author: Author) -> None:
    body = "def trace(self, fields):\n    pass\ndef apply(self, fields, backend):\n    fields['image'].array[:] = 1"
    assert WRITES in author.refusal("Branch", body)


def test_the_result_of_a_barrier_can_be_a_view_that_is_written_later(author: Author) -> None:
    config = author.load("Barrier", returning("apply", "array[:, :, :, :]"))
    barrier: Any = config.pre[1]
    data = DATA[None].astype(np.float32)
    field = config.pipeline().prepare(volume_of(DATA), BACKEND)["image"]
    view = barrier.apply(data, field, BACKEND)
    view[:] = 5
    assert (data == 5).all()


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("Pointwise", returning("function", "0.5"), "function: expected a ClampedAffine, found float 0.5"),
        ("Pointwise", "function = ClampedAffine()", "function failed: TypeError: 'ClampedAffine' object is not callab"),
        ("Pointwise", returning("function", "ClampedAffine(math.nan)"), "with a finite scale and shift, found Clamped"),
        ("Pointwise", returning("function", "ClampedAffine(low=1, high=0)"), "a ClampedAffine with low ≤ high, found"),
        ("Measured", returning("measure", "ClampedAffine(shift=math.inf)"), "with a finite scale and shift"),
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


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("field.channels = 0", "trace: expected a number of channels of 'image', found int 0"),
        ("field.dtype = 'voxel'", "trace: expected a dtype of 'image', found str 'voxel'"),
        ("field.shape = (3, 3, 3)", "trace: expected the grid (8, 7, 6) of 'image', found (3, 3, 3) (call field.windo"),
        ("field.windowed((0.5, 0, 0), (3, 3, 3))", "trace: expected a first index (X, Y, Z) of 'image', found tuple"),
        ("field.windowed((0, 0, 0), (3, 3))", "trace: expected a shape (X, Y, Z) of 'image', found tuple (3, 3)"),
        ("field.spacing = (1, 1, 0)", "trace: expected a spacing of 'image' in mm, found tuple (1, 1, 0)"),
        ("1 / 0", "trace failed: ZeroDivisionError: division by zero (mend the component"),
    ],
)
def test_what_a_trace_records(author: Author, statement: str, message: str) -> None:
    body = f"def trace(self, field):\n    {statement}\n" + returning("apply", "array")
    assert author.refusal("Barrier", body).startswith(message)


def test_a_dtype_can_be_recorded_as_a_type(author: Author) -> None:
    author.run("Barrier", "def trace(self, field):\n    field.dtype = np.float64\n" + returning("apply", "array * 0.5"))


BRANCH = """
@property
def creates(self):
    return ("other",)

def trace(self, fields):
    fields["other"] = fields["image"].copy(name="other")

def apply(self, fields, backend):
    self.trace(fields)
    {statement}
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("fields['other'].array = None", "apply: expected a numpy array as 'other', as its input is, found None"),
        ("del fields['other']", "apply: expected the field 'other', found none, only image"),
        ("fields['more'] = fields['other']", "apply: expected only new fields that `creates` names, found 'more'"),
        (
            "fields['other'].array = np.zeros((2, 8, 7, 6), np.int16)",
            "apply: expected 'other' to hold (1, 8, 7, 6) float32, as its state says, found ndarray (2, 8, 7, 6) int16",
        ),
        ("fields['other'].kind = 'labels'", "apply: expected labels of uint8 or uint16 as 'other', found ndarray"),
        ("1 / 0", "apply failed: ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_branch_makes(author: Author, statement: str, message: str) -> None:
    author.run("Branch", BRANCH.format(statement="pass"))
    assert author.refusal("Branch", BRANCH.format(statement=statement)).startswith(message)


@pytest.mark.parametrize("value", ["'image'", "[1]", "None"])
def test_fields_that_are_no_names(author: Author, value: str) -> None:
    body = f"@property\ndef fields(self):\n    return {value}\n" + returning("apply", "array")
    assert author.refusal("Barrier", body).startswith("fields: expected a tuple of names, found ")


def test_a_lack_of_memory_stays_one(author: Author) -> None:
    with pytest.raises(ResourceError, match=r"pre_transforms\[1\]: Mine: apply: out of memory"):
        author.run("Barrier", returning("apply", "array").replace("return array", "raise MemoryError"))


def test_an_error_of_the_package_keeps_its_class(author: Author) -> None:
    with pytest.raises(ResourceError, match=r"Mine: apply: no card \(buy\)") as caught:
        author.run(
            "Barrier", returning("apply", "1").replace("return 1", "raise ResourceError('no card', remedy='buy')")
        )
    assert type(caught.value) is ResourceError


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_an_interrupt_passes(author: Author, error: type[BaseException]) -> None:
    code = returning("apply", "1").replace("return 1", f"raise {error.__name__}('SIGINT')")
    with pytest.raises(error, match=r"^SIGINT$"):
        author.run("Barrier", code)


def test_debug_shows_the_traceback_of_the_author(author: Author) -> None:
    with pytest.raises(GpuInferError) as caught:
        author.run("Pointwise", returning("function", "1 / 0"))
    assert "component_of_author.py" in "".join(traceback.format_exception(caught.value))


def test_a_guarded_class_looks_like_that_of_the_author(author: Author) -> None:
    mine: Any = author.load("Barrier", '"""Doc."""\n' + returning("apply", "array")).pre[1]
    assert isinstance(mine, Barrier)
    cls = type(mine)
    assert (cls.__name__, cls.__module__, cls.__doc__, mine.label) == ("Mine", "component_of_author", "Doc.", "Mine")
