"""pytest plugin: monai.inferers.sliding_window_inference is gpu_infer's, in MONAI's own tests.

MONAI's distributions hold no tests, so these come from a checkout of its repository (MONAI_SOURCE). The last line of
the run says how many calls were ours.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import monai.inferers
import monai.inferers.inferer
import monai.inferers.utils

import gpu_infer

_COUNTS = {"ours": 0}


@wraps(monai.inferers.sliding_window_inference)
def _routed(*arguments: Any, **named: Any) -> Any:
    _COUNTS["ours"] += 1
    return gpu_infer.sliding_window_inference(*arguments, **named)


def pytest_configure() -> None:
    for module in (monai.inferers, monai.inferers.inferer, monai.inferers.utils):
        module.sliding_window_inference = _routed


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"sliding_window_inference: {_COUNTS['ours']} calls were ours")
