"""How kernels are compiled and started."""

from __future__ import annotations

import threading

LAUNCH = threading.Lock()
"""Held while a parallel kernel runs: not all of Numba's threading layers allow two threads to start one at once."""
