"""gpu_infer: scanning-window segmentation of medical volumes on NVIDIA Triton."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gpu_infer._version import __version__ as __version__

if TYPE_CHECKING:
    from gpu_infer.compat.sliding_window.function import sliding_window_inference as sliding_window_inference
    from gpu_infer.compat.zoom.function import zoom as zoom

_LIBRARY = {
    "sliding_window_inference": "gpu_infer.compat.sliding_window.function",
    "zoom": "gpu_infer.compat.zoom.function",
}
"""Functions for users of MONAI and SciPy, imported at first use, because the command line needs none of them."""

__all__ = ["__version__", "sliding_window_inference", "zoom"]


def __getattr__(name: str) -> object:
    if name in _LIBRARY:
        value: object = getattr(import_module(_LIBRARY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'gpu_infer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LIBRARY})
