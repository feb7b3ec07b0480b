"""A dry run of a pipeline: what each stage reads, makes and allocates for a given volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_infer.volume.geometry import Shape3

from .base import Barrier
from .execution import Fields, run
from .field import FieldState
from .stages import FusedPass, Stage

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class StageTrace:
    """One stage: [C, X, Y, Z] shapes and dtypes before and after, and the bytes that it allocates on the
    device."""

    line: str
    field: str
    shape_in: Shape4
    dtype_in: np.dtype[Any]
    shape_out: Shape4
    dtype_out: np.dtype[Any]
    bytes: int


@dataclass(frozen=True)
class Trace:
    """The stages in order, and what the windows are cut from.

    model_shape    (X, Y, Z), with `model_channels` channels and `model_bytes` bytes
    channels_last  True where the configuration hands the model windows [X, Y, Z, C]
    """

    stages: tuple[StageTrace, ...]
    model_shape: Shape3
    model_channels: int
    model_bytes: int
    channels_last: bool

    def __iter__(self) -> Iterator[StageTrace]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of what one stage reads and what it allocates; slots and slabs of the inference come
        on top."""
        return max(_size(s.shape_in, s.dtype_in) + s.bytes for s in self.stages)


def _size(shape: Shape4, dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


@dataclass
class Tracer:
    """Collects stages while states are walked without arrays."""

    stages: list[StageTrace] = field(default_factory=list)

    def upload(self, state: FieldState) -> None:
        self._add("upload, as stored", state, _look(state), state.nbytes)

    def result(self, state: FieldState) -> None:
        self._add(f"{state.name}: result of the inference", state, _look(state), state.nbytes)

    def cast(self, state: FieldState, dtype: np.dtype[Any]) -> None:
        before, state.dtype = _look(state), dtype
        self._add(f"{state.name}: to {dtype}", state, before, state.nbytes)

    def step(self, line: str, stage: Stage, fields: Fields, dtype: np.dtype[Any]) -> None:
        touches = isinstance(stage, FusedPass) or stage.transform.touches_voxels
        name = stage.field or (stage.transform.fields[0] if not isinstance(stage, FusedPass) else "")
        state, known = fields[name], set(fields)
        before = _look(state)
        barrier = None if isinstance(stage, FusedPass) else stage.transform
        scratch = barrier.scratch_bytes(state) if isinstance(barrier, Barrier) else 0
        run(stage, fields, dtype, None)
        made = sum(fields[n].nbytes for n in fields if n not in known)
        self._add(line, state, before, (made or state.nbytes) + scratch if touches else 0)

    def deliver(self, state: FieldState, *, restored: bool) -> None:
        """The copy into the file's order, with the way back to its grid where nothing else did it."""
        before, needed = _look(state), bool(state.history)
        if needed:
            state.restored()
        identity = not needed and restored
        self._add(f"{state.name}: in the file's order", state, before, 0 if identity else state.nbytes)

    def _add(self, line: str, state: FieldState, before: tuple[Shape4, np.dtype[Any]], size: int) -> None:
        shape, dtype = _look(state)
        self.stages.append(StageTrace(line, state.name, before[0], before[1], shape, dtype, size))


def _look(state: FieldState) -> tuple[Shape4, np.dtype[Any]]:
    return (state.channels, *state.shape), state.dtype
