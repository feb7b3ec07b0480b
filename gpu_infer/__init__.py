"""gpu_infer: scanning-window segmentation of medical volumes on NVIDIA Triton."""

from __future__ import annotations

__version__ = "0.1.0"
