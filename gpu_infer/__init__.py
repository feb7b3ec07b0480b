"""gpu_infer: scanning-window segmentation of medical volumes on NVIDIA Triton."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gpu_infer._version import __version__ as __version__

if TYPE_CHECKING:
    from gpu_infer.compat.sliding_window.function import sliding_window_inference as sliding_window_inference
    from gpu_infer.compat.sliding_window.inferer import SlidingWindowInferer as SlidingWindowInferer
    from gpu_infer.compat.zoom.function import zoom as zoom

_LIBRARY = {
    "SlidingWindowInferer": "gpu_infer.compat.sliding_window.inferer",
    "sliding_window_inference": "gpu_infer.compat.sliding_window.function",
    "zoom": "gpu_infer.compat.zoom.function",
}
"""What users of MONAI and SciPy import; loaded at first use, because the command line needs none of it."""

__all__ = ["SlidingWindowInferer", "__version__", "sliding_window_inference", "zoom"]


def __getattr__(name: str) -> object:
    if name in _LIBRARY:
        value: object = getattr(import_module(_LIBRARY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'gpu_infer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LIBRARY})
