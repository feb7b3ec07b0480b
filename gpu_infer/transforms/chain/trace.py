"""A dry run of a pipeline: the shapes, dtypes and bytes of every stage for a given volume."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from gpu_infer.backends.filters import ON_CPU, FilterPlaces
from gpu_infer.transforms.chain.restore import restored_bytes
from gpu_infer.transforms.chain.stage import Stage
from gpu_infer.transforms.field import DType, Fields, FieldState
from gpu_infer.volume.geometry import Shape3

Shape4 = tuple[int, int, int, int]


@dataclass(frozen=True)
class StageTrace:
    """One stage: [C, X, Y, Z] shapes and dtypes before and after.

    bytes     that it allocates on the device
    existing  bytes of the arrays that exist there when it begins
    host      bytes that it allocates on a GPU's host, for filters that run there
    """

    line: str
    field: str
    shape_in: Shape4
    dtype_in: DType
    shape_out: Shape4
    dtype_out: DType
    bytes: int
    existing: int
    host: int = 0


@dataclass(frozen=True)
class Trace:
    """The stages in order, and the array that contains the windows.

    model_shape    (X, Y, Z), with `model_channels` channels and `model_bytes` bytes
    kept_bytes     of further fields that stay allocated during the inference, for the post-transforms
    channels_last  True if the configuration gives the model windows [X, Y, Z, C]
    model_field    the field that the model's result becomes, before the post-transforms
    """

    stages: tuple[StageTrace, ...]
    model_shape: Shape3
    model_channels: int
    model_bytes: int
    channels_last: bool
    kept_bytes: int = 0
    model_field: FieldState | None = None

    def __iter__(self) -> Iterator[StageTrace]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of the bytes that exist when a stage begins and those that it allocates; slots and slabs of the
        inference are not included."""
        return max(s.existing + s.bytes for s in self.stages)

    @property
    def host_bytes(self) -> int:
        """Most bytes that a stage allocates on a GPU's host."""
        return max(s.host for s in self.stages)


@dataclass(eq=False)
class _Buffer:
    """Memory of an array; views of it share it."""

    size: int


@dataclass
class Tracer:
    """Dry run of a chain: records each stage's shapes, and the bytes that exist before it and that it allocates."""

    places: FilterPlaces = ON_CPU
    stages: list[StageTrace] = field(default_factory=list)
    _buffers: dict[str, _Buffer] = field(default_factory=dict)  # by field

    def upload(self, state: FieldState) -> None:
        self._add_array("upload, as stored", state)

    def result(self, state: FieldState) -> None:
        self._add_array(f"{state.name}: result of the inference", state)

    def cast(self, state: FieldState, dtype: DType) -> None:
        before = state.copy()
        state.dtype = dtype
        self._add_array(f"{state.name}: to {dtype}", state, before)

    def drop_others(self, live: Collection[str]) -> int:
        """Record that the arrays of other fields are dropped; returns the bytes that remain."""
        self._buffers = {name: buffer for name, buffer in self._buffers.items() if name in live}
        return self._existing

    def step(self, stage: Stage, fields: Fields, dtype: DType, live: Collection[str]) -> None:
        """Run `stage` without arrays; afterwards only the arrays of the `live` fields remain."""
        state, known = fields[stage.first_field], set(fields)
        before, existing, shared = state.copy(), self._existing, self._is_shared(state.name)
        new = stage.run(fields, dtype, None)
        for name in fields.keys() - known - set(new):  # views
            self._buffers[name] = self._buffers[state.name]
        for name in new:
            self._buffers[name] = _Buffer(fields[name].nbytes)
        size = stage.allocated_bytes(before, sum(fields[name].nbytes for name in new), shared=shared)
        filters = stage.filter_bytes(before, self.places)
        self._add(stage.line(), state, before, size + filters.here, existing, filters.host)
        self.drop_others(live)

    def deliver(self, state: FieldState, *, restored: bool) -> None:
        """Record the copy into the file's order, and the restore of the grid if no transform does it."""
        before, existing = state.copy(), self._existing
        size = restored_bytes(state, shared=self._is_shared(state.name))
        if not state.history and not restored:
            size = state.nbytes
        if state.history:
            state.restored()
        if size:
            self._buffers[state.name] = _Buffer(state.nbytes)
        self._add(f"{state.name}: in the file's order", state, before, size, existing)

    @property
    def _existing(self) -> int:
        return sum(buffer.size for buffer in set(self._buffers.values()))

    def _is_shared(self, name: str) -> bool:
        own = self._buffers.get(name)
        return any(buffer is own for other, buffer in self._buffers.items() if other != name)

    def _add_array(self, line: str, state: FieldState, before: FieldState | None = None) -> None:
        """Record a new array for `state`."""
        existing = self._existing
        self._buffers[state.name] = _Buffer(state.nbytes)
        self._add(line, state, before or state, state.nbytes, existing)

    def _add(self, line: str, state: FieldState, before: FieldState, size: int, existing: int, host: int = 0) -> None:
        shape_in, shape_out = ((s.channels, *s.shape) for s in (before, state))
        self.stages.append(
            StageTrace(line, state.name, shape_in, before.dtype, shape_out, state.dtype, size, existing, host)
        )
