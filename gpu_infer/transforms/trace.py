"""A dry run of a pipeline: what each stage reads, makes and allocates for a given volume."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_infer.backends.labels import label_dtype
from gpu_infer.volume.geometry import Shape3

from .base import Barrier
from .execution import Fields, run
from .field import FieldState
from .restored_argmax import allocated_bytes, in_one_pass
from .stages import RestoredArgmax, Single, Stage

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class StageTrace:
    """One stage: [C, X, Y, Z] shapes and dtypes before and after, the bytes that it allocates on the device, and those
    of the array that it reads there (none for what is uploaded or inferred)."""

    line: str
    field: str
    shape_in: Shape4
    dtype_in: np.dtype[Any]
    shape_out: Shape4
    dtype_out: np.dtype[Any]
    bytes: int
    reads: int


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
        return max(s.reads + s.bytes for s in self.stages)


def _size(shape: Shape4, dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


@dataclass
class Tracer:
    """Collects stages while states are walked without arrays."""

    stages: list[StageTrace] = field(default_factory=list)

    def upload(self, state: FieldState) -> None:
        self._add("upload, as stored", state, _look(state), state.nbytes, reads=False)

    def result(self, state: FieldState) -> None:
        self._add(f"{state.name}: result of the inference", state, _look(state), state.nbytes, reads=False)

    def cast(self, state: FieldState, dtype: np.dtype[Any]) -> None:
        before, state.dtype = _look(state), dtype
        self._add(f"{state.name}: to {dtype}", state, before, state.nbytes)

    def step(self, line: str, stage: Stage, fields: Fields, dtype: np.dtype[Any]) -> None:
        single = stage.transform if isinstance(stage, Single) else None
        state, known = fields[stage.field or (single.fields[0] if single else "")], set(fields)
        before = _look(state)
        if isinstance(stage, RestoredArgmax):
            size = _restored_argmax_bytes(state)
            run(stage, fields, dtype, None)
            self._add(line, state, before, size)
            return
        scratch = single.scratch_bytes(state) if isinstance(single, Barrier) else 0
        run(stage, fields, dtype, None)
        made = sum(fields[n].nbytes for n in fields if n not in known)
        self._add(line, state, before, (made or state.nbytes) + scratch if stage.touches_voxels else 0)

    def deliver(self, state: FieldState, *, restored: bool) -> None:
        """The copy into the file's order, with the way back to its grid where nothing else did it."""
        before, needed = _look(state), bool(state.history)
        if needed:
            state.restored()
        identity = not needed and restored
        self._add(f"{state.name}: in the file's order", state, before, 0 if identity else state.nbytes)

    def _add(
        self, line: str, state: FieldState, before: tuple[Shape4, np.dtype[Any]], size: int, *, reads: bool = True
    ) -> None:
        shape, dtype = _look(state)
        read = _size(*before) if reads else 0
        self.stages.append(StageTrace(line, state.name, before[0], before[1], shape, dtype, size, read))


def _restored_argmax_bytes(state: FieldState) -> int:
    if in_one_pass(state):
        return allocated_bytes(state)
    loaded = math.prod(state.source.loaded.shape)
    return loaded * (state.channels * state.dtype.itemsize + label_dtype(state.channels).itemsize)


def _look(state: FieldState) -> tuple[Shape4, np.dtype[Any]]:
    return (state.channels, *state.shape), state.dtype
