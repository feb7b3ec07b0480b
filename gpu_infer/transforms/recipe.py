"""The arguments of one `Backend.resample` call, which the members of a fused pass add to one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.backends.base.backend import Start, Tables
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.volume.geometry import Shape3

Box = tuple[slice, slice, slice]
IDENTITY = ClampedAffine()


@dataclass
class Recipe:
    """out = after(resample(before(source))), where the source is a window of the field's array.

    window     box of the array, X, Y, Z; None: the whole array
    tables     one per axis; None: the grid stays the same
    resampled  True after the pass's one change of sampling: functions then belong to `after`
    writes     True if the pass must write a new array even though no value changes and no voxel moves
    """

    before: ClampedAffine = IDENTITY
    after: ClampedAffine = IDENTITY
    window: Box | None = None
    tables: Tables | None = None
    resampled: bool = False
    writes: bool = False

    def apply(self, function: ClampedAffine) -> None:
        """Add a function of the voxel values."""
        if self.resampled:
            self.after = self.after.then(function)
        else:
            self.before = self.before.then(function)

    def crop(self, start: Start, shape: Shape3) -> None:
        """Add a crop of the current grid: a smaller window before a resampling, fewer table entries after it."""
        if self.tables is not None:
            x, y, z = (
                AxisTable(t.lower[s : s + n], t.upper[s : s + n], t.weight[s : s + n])
                for t, s, n in zip(self.tables, start, shape, strict=True)
            )
            self.tables = (x, y, z)
            return
        offset = (0, 0, 0) if self.window is None else tuple(int(s.start) for s in self.window)
        a, b, c = (slice(o + s, o + s + n) for o, s, n in zip(offset, start, shape, strict=True))
        self.window = (a, b, c)

    @property
    def is_view(self) -> bool:
        """True if the result is the window itself: no value changes and no voxel moves."""
        return not self.writes and self.tables is None and self.before.is_identity and self.after.is_identity
