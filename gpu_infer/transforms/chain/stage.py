"""The base class of a chain's stages: the line that describes a stage, its run, and the bytes that it allocates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import FilterBytes, FilterPlaces
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.field import DType, Fields, FieldState


class Stage(ABC):
    """One step of a chain.

    field  the field that it works on; None for a transform of several fields
    """

    field: str | None

    @property
    def touches_voxels(self) -> bool:
        return True

    @property
    def first_field(self) -> str:
        """The field that a trace reports for it."""
        assert self.field is not None
        return self.field

    @property
    def reads(self) -> set[str]:
        """Fields whose voxels it reads or changes."""
        return {self.first_field}

    @abstractmethod
    def line(self) -> str:
        """Its line in a plan."""

    @abstractmethod
    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        """Change `fields` in place and return the names of those that have a new array; others share arrays or views.

        Without a backend this is a dry run: shapes, dtypes and kinds change, and arrays stay None. `dtype` is that of
        a fused pass's output; other stages ignore it.
        """

    def allocated_bytes(self, before: FieldState, new_bytes: int, *, shared: bool) -> int:
        """Most bytes that `run` allocates at a time.

        before     the first field's state before the stage
        new_bytes  of the arrays that it makes
        shared     True if another field shares the array of `before`, which then stays allocated
        """
        return new_bytes

    def filter_bytes(self, before: FieldState, places: FilterPlaces) -> FilterBytes:
        """Most bytes that filters of libraries allocate in addition to that, here and on a GPU's host."""
        return FilterBytes()

    def makes_labels_without_ties(self, fields: Fields) -> bool:
        """True if it turns scores into labels by an operation that does not count ties."""
        return False


def pass_line(field: str, members: Sequence[Transform]) -> str:
    """The line of a stage that runs `members` in one pass over the voxels."""
    one_pass = ", one pass" if len(members) > 1 else ""
    return f"{field}: {' + '.join(t.summary() for t in members)}{one_pass}"


def check_channels(transform: Transform, state: FieldState) -> None:
    """ConfigError if the transform expects another number of channels than the field has."""
    if transform.channels not in (None, state.channels):
        raise ConfigError(
            f"{transform.place}: is made for {transform.channels} channels, {state.name!r} has {state.channels}",
            remedy="give one entry per channel",
        )
