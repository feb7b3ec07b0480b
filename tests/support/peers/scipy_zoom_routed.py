"""pytest plugin: scipy.ndimage.zoom of orders 0 and 1 is gpu_infer.zoom, in SciPy's own tests.

Counts the calls of each; the last line of the run has the counts ("zoom: 12 ours, 34 SciPy's").
"""

from __future__ import annotations

from collections import Counter
from functools import wraps
from typing import Any

import scipy.ndimage

import gpu_infer

_COUNTS: Counter[str] = Counter()
_SCIPYS = scipy.ndimage.zoom


@wraps(_SCIPYS)
def _routed(input: Any, zoom: Any, output: Any = None, order: int = 3, *rest: Any, **named: Any) -> Any:  # noqa: A002
    if order in (0, 1):
        _COUNTS["ours"] += 1
        return gpu_infer.zoom(input, zoom, output, order, *rest, **named)
    _COUNTS["scipy"] += 1
    return _SCIPYS(input, zoom, output, order, *rest, **named)


def pytest_collection_finish() -> None:
    # Not before: SciPy's tests look zoom up in a table of what its functions can do while they are imported.
    scipy.ndimage.zoom = _routed


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"zoom: {_COUNTS['ours']} ours, {_COUNTS['scipy']} SciPy's")
