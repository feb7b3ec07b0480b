"""The arguments of one call of a backend, which the members of a fused pass add to one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from gpu_infer.backends.base.backend import Array, Backend, Start, Tables
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.backends.taps import TapTable, TapTables, scratch_bytes
from gpu_infer.volume.geometry import Shape3

Box = tuple[slice, slice, slice]
IDENTITY = ClampedAffine()


@dataclass
class Recipe:
    """out = after(resample(before(source))), where the source is a window of the field's array.

    window     box of the array, X, Y, Z; None: the whole array
    tables     one per axis, all of one kind; None: the grid stays the same
    resampled  True after the pass's one change of sampling: functions then belong to `after`
    writes     True if the pass must write a new array even though no value changes and no voxel moves
    """

    before: ClampedAffine = IDENTITY
    after: ClampedAffine = IDENTITY
    window: Box | None = None
    tables: Tables | TapTables | None = None
    resampled: bool = False
    writes: bool = False

    def apply(self, function: ClampedAffine) -> None:
        """Add a function of the voxel values."""
        if self.resampled:
            self.after = self.after.then(function)
        else:
            self.before = self.before.then(function)

    def limit(self, least: float, greatest: float) -> None:
        """Limit values after the resampling to what `before` makes of the range of the source, which it keeps in order
        or turns round."""
        ends = sorted(self.before.at(value) for value in (least, greatest))
        self.after = self.after.then(ClampedAffine(low=ends[0], high=ends[1]))

    def crop(self, start: Start, shape: Shape3) -> None:
        """Add a crop of the current grid: a smaller window before a resampling, fewer table entries after it."""
        if self.tables is not None:
            tables: tuple[AxisTable | TapTable, ...] = self.tables
            parts = tuple(t.part(s, n) for t, s, n in zip(tables, start, shape, strict=True))
            self.tables = cast(Tables | TapTables, parts)
            return
        offset = (0, 0, 0) if self.window is None else tuple(int(s.start) for s in self.window)
        a, b, c = (slice(o + s, o + s + n) for o, s, n in zip(offset, start, shape, strict=True))
        self.window = (a, b, c)

    @property
    def is_view(self) -> bool:
        """True if the result is the window itself: no value changes and no voxel moves."""
        return not self.writes and self.tables is None and self.before.is_identity and self.after.is_identity

    def run(self, source: Array, out: Array, backend: Backend) -> None:
        """Write [C, X', Y', Z'] `out` from the window `source` of the field's array."""
        if self._has_taps:
            backend.resample_taps(source, out, cast(TapTables, self.tables), self.before, self.after)
        else:
            backend.resample(source, out, cast(Tables | None, self.tables), self.before, self.after)

    def scratch_bytes(self, shape: Shape3) -> int:
        """Most bytes that `run` allocates for a field of `shape` before the pass."""
        if not self._has_taps:
            return 0
        read = shape if self.window is None else tuple(s.stop - s.start for s in self.window)
        return scratch_bytes(read, cast(TapTables, self.tables))

    @property
    def _has_taps(self) -> bool:
        return self.tables is not None and isinstance(self.tables[0], TapTable)
