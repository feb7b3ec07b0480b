"""A dry run of a pipeline: what each stage reads, makes and allocates for a given volume."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_infer.backends.labels import label_dtype
from gpu_infer.transforms.base import Barrier, Restore
from gpu_infer.transforms.chain.execution import Fields, run
from gpu_infer.transforms.chain.restore import restored_bytes
from gpu_infer.transforms.chain.restore_argmax import allocated_bytes, in_one_pass
from gpu_infer.transforms.chain.stages import RestoredArgmax, Single, Stage
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Shape3

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class StageTrace:
    """One stage: [C, X, Y, Z] shapes and dtypes before and after, the bytes that it allocates on the device, and those
    that are held there when it begins."""

    line: str
    field: str
    shape_in: Shape4
    dtype_in: np.dtype[Any]
    shape_out: Shape4
    dtype_out: np.dtype[Any]
    bytes: int
    held: int


@dataclass(frozen=True)
class Trace:
    """The stages in order, and what the windows are cut from.

    model_shape    (X, Y, Z), with `model_channels` channels and `model_bytes` bytes
    kept_bytes     of further fields, held during the inference for the post-transforms
    channels_last  True where the configuration hands the model windows [X, Y, Z, C]
    """

    stages: tuple[StageTrace, ...]
    model_shape: Shape3
    model_channels: int
    model_bytes: int
    channels_last: bool
    kept_bytes: int = 0

    def __iter__(self) -> Iterator[StageTrace]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of what is held when a stage begins and what it allocates; slots and slabs of the inference
        come on top."""
        return max(s.held + s.bytes for s in self.stages)


@dataclass(eq=False)
class _Buffer:
    """Memory of an array; views of it share it."""

    size: int


@dataclass
class Tracer:
    """Collects stages while states are walked without arrays, and keeps the books on what they would hold."""

    stages: list[StageTrace] = field(default_factory=list)
    _buffers: dict[str, _Buffer] = field(default_factory=dict)  # by field

    def upload(self, state: FieldState) -> None:
        self._made("upload, as stored", state)

    def result(self, state: FieldState) -> None:
        self._made(f"{state.name}: result of the inference", state)

    def cast(self, state: FieldState, dtype: np.dtype[Any]) -> None:
        before, state.dtype = _look(state), dtype
        self._made(f"{state.name}: to {dtype}", state, before)

    def keep(self, needed: Collection[str]) -> int:
        """Book that other fields' arrays are dropped; the bytes that stay."""
        self._buffers = {name: buffer for name, buffer in self._buffers.items() if name in needed}
        return self._held

    def step(self, line: str, stage: Stage, fields: Fields, dtype: np.dtype[Any], needed: Collection[str]) -> None:
        """`needed`: fields that are read after this stage, the others' arrays are dropped with it."""
        single = stage.transform if isinstance(stage, Single) else None
        state, known = fields[stage.field or (single.fields[0] if single else "")], set(fields)
        before, held = _look(state), self._held
        if isinstance(stage, RestoredArgmax):
            size = _restored_argmax_bytes(state)
        elif isinstance(single, Restore):
            size = restored_bytes(state, shared=self._shared(state.name))
        else:
            size = single.scratch_bytes(state) if isinstance(single, Barrier) else 0
        moved = not isinstance(single, Restore) or bool(state.history)
        view = run(stage, fields, dtype, None)
        if view or (single is not None and single.makes_views):
            for name in fields.keys() - known:
                self._buffers[name] = self._buffers[state.name]
        elif stage.touches_voxels and moved:
            created = [name for name in fields if name not in known]
            changed = created or ([state.name] if stage.field else list(single.fields if single else ()))
            for name in changed:
                self._buffers[name] = _Buffer(fields[name].nbytes)
            if not isinstance(stage, RestoredArgmax) and not isinstance(single, Restore):
                size += sum(fields[name].nbytes for name in changed)
        self._add(line, state, before, size, held)
        self.keep(needed)

    def deliver(self, state: FieldState, *, restored: bool) -> None:
        """The copy into the file's order, with the way back to its grid where nothing else did it."""
        before, held = _look(state), self._held
        size = restored_bytes(state, shared=self._shared(state.name))
        if not state.history and not restored:
            size = state.nbytes
        if state.history:
            state.restored()
        if size:
            self._buffers[state.name] = _Buffer(state.nbytes)
        self._add(f"{state.name}: in the file's order", state, before, size, held)

    @property
    def _held(self) -> int:
        return sum(buffer.size for buffer in set(self._buffers.values()))

    def _shared(self, name: str) -> bool:
        own = self._buffers.get(name)
        return any(buffer is own for other, buffer in self._buffers.items() if other != name)

    def _made(self, line: str, state: FieldState, before: tuple[Shape4, np.dtype[Any]] | None = None) -> None:
        """A new array for `state`."""
        held = self._held
        self._buffers[state.name] = _Buffer(state.nbytes)
        self._add(line, state, before or _look(state), state.nbytes, held)

    def _add(self, line: str, state: FieldState, before: tuple[Shape4, np.dtype[Any]], size: int, held: int) -> None:
        shape, dtype = _look(state)
        self.stages.append(StageTrace(line, state.name, before[0], before[1], shape, dtype, size, held))


def _restored_argmax_bytes(state: FieldState) -> int:
    if in_one_pass(state):
        return allocated_bytes(state)
    loaded = math.prod(state.source.loaded.shape)
    return loaded * (state.channels * state.dtype.itemsize + label_dtype(state.channels).itemsize)


def _look(state: FieldState) -> tuple[Shape4, np.dtype[Any]]:
    return (state.channels, *state.shape), state.dtype
