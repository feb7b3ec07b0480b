"""The base class of custom writers.

Subclass `Writer` and name the class in the configuration (`"path": "package.module.Class"` in `writers`). Declare
arguments in a nested `Args` (a pydantic model that derives from `gpu_infer.transforms.arguments.Arguments`; unknown
arguments are errors). An instance has them as `self.args`. `field` is an argument of every writer.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpu_infer.label_table.table import LabelTable
from gpu_infer.transforms.component import ConfiguredComponent
from gpu_infer.volume.geometry import Geometry, Shape3

__all__ = ["LabelResult", "Writer", "is_writer"]


@dataclass(frozen=True)
class LabelResult:
    """A label map of a run.

    name      of the case: the names of all files begin with it
    field     of the configuration
    labels    [I, J, K] uint8 or uint16 on the grid of the input file, on the host, read-only
    geometry  of the labels: shape and affine (index → RAS+ mm)
    table     names and colours of the labels
    report    the content of report.json so far (docs/report.md); a copy
    """

    name: str
    field: str
    labels: NDArray[Any]
    geometry: Geometry
    table: LabelTable
    report: Mapping[str, Any]


class Writer(ConfiguredComponent):
    """Writes files of a label map. One instance serves every run of a session, one at a time."""

    @abstractmethod
    def file_names(self, name: str) -> Sequence[str]:
        """Names of all files that `write` may make for the case `name`; each begins with `<name>.`.

        They are compared with all other outputs before the inference.
        """

    @abstractmethod
    def write(self, result: LabelResult, folder: Path) -> Sequence[Path]:
        """Write at least one of the files into `folder`, which is empty, and return their paths.

        When all are written, they move into the output folder together, and older files under the names of
        `file_names` disappear. Nothing moves if this raises.
        """

    def is_older_output(self, path: Path) -> bool:
        """Whether a file under a name of `file_names` may be replaced; if not, the run is refused before the inference.

        By default every regular file is an output of an older run.
        """
        return True

    def scratch_bytes(self, shape: Shape3) -> int:
        """Bytes of the arrays that `write` makes for labels of `shape` (I, J, K), at most, at a time.

        The plan of a run counts these bytes. By default two masks of a byte per voxel.
        """
        return 2 * math.prod(shape)


def is_writer(value: Any) -> bool:
    """Whether `value` is a concrete subclass of `Writer`."""
    return isinstance(value, type) and issubclass(value, Writer) and not inspect.isabstract(value)
