"""Label maps that a run wrote, as SimpleITK reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import SimpleITK as sitk
from numpy.typing import NDArray


def labels_in(path: Path) -> NDArray[Any]:
    """[I, J, K] of a file."""
    labels: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    return labels


def labels_of(result: Any) -> NDArray[Any]:
    """[I, J, K] of a run's result."""
    return labels_in(Path(result.output))
