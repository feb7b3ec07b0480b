"""A component that ends its process for volumes of one shape."""

from __future__ import annotations

import os
import signal

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.types import Array
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.field import FieldState

DEADLY = 13
"""Size along the first axis of a volume that ends the process."""


class Ending(Barrier):
    """x, unless the volume is deadly."""

    name = "Ending"

    def trace(self, field: FieldState) -> None:
        """Nothing changes."""

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        if array.shape[1] == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        return array
